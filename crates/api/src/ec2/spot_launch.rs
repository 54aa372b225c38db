//! Spot Instances and the requests they stand for: what every way of launching them has in common.
//!
//! RunInstances and Auto Scaling groups launch at once and leave a request that is fulfilled;
//! RequestSpotInstances leaves one that is open, for which the Spot request controller launches
//! through [`fulfil`]. There is no market: every price is met.

use super::error::{Result, invalid_combination, invalid_parameter, unsupported};
use super::launch::{self, Launch, Site};
use super::launch_template_data::{LaunchTemplateData, SpotOptions};
use model::instance::{Instance, LaunchError};
use model::spot_request::{SpotRequest, SpotRequestState as S};
use model::{InstanceId, Timestamp};
use store::Tx;
use wire::ApiError;

pub const FULFILLED: (&str, &str) = ("fulfilled", "Your Spot request is fulfilled.");

/// What is said of a request besides what it launches.
pub fn check(options: &SpotOptions) -> Result<()> {
    super::error::refuse(&options.block_duration_minutes, "BlockDurationMinutes")?;
    if let Some(price) = options.max_price.as_ref().filter(|p| !is_price(p)) {
        let why = "Expecting a price above zero.";
        return Err(invalid_parameter(price, "spotPrice", why));
    }
    let persistent = is_persistent(options.spot_instance_type.as_deref())?;
    match options.instance_interruption_behavior.as_deref() {
        None | Some("terminate") => {}
        Some("stop") if persistent => {}
        Some("stop" | "hibernate") if !persistent => {
            return Err(invalid_combination(
                "An instance interruption behavior other than terminate requires a persistent Spot request.",
            ));
        }
        Some("hibernate") => {
            return Err(unsupported("Hibernation is not supported by this cloud."));
        }
        Some(other) => {
            let why = "Expecting terminate, stop or hibernate.";
            return Err(invalid_parameter(
                other,
                "instanceInterruptionBehavior",
                why,
            ));
        }
    }
    if options.valid_until.is_some() && !persistent {
        return Err(invalid_combination(
            "ValidUntil is of persistent Spot requests only.",
        ));
    }
    Ok(())
}

/// US dollars an hour.
pub fn is_price(text: &str) -> bool {
    let number = text.parse::<f64>();
    number.is_ok_and(|n| n.is_finite() && n > 0.0)
}

pub fn is_persistent(kind: Option<&str>) -> Result<bool> {
    match kind {
        None | Some("one-time") => Ok(false),
        Some("persistent") => Ok(true),
        Some(other) => {
            let why = "Expecting one-time or persistent.";
            Err(invalid_parameter(other, "spotInstanceType", why))
        }
    }
}

/// The request, fulfilled already, of an instance that is being launched as Spot.
pub fn request_of(
    site: &Site<'_>,
    launch: &Launch,
    instance: &Instance,
) -> Result<Option<SpotRequest>> {
    let Some(spot) = &instance.spot else {
        return Ok(None);
    };
    let options = launch.data.instance_market_options.as_ref();
    let options = options.and_then(|m| m.spot_options.clone());
    let options = options.unwrap_or_default();
    Ok(Some(SpotRequest {
        id: spot.request.clone(),
        scope: site.scope.clone(),
        persistent: spot.persistent,
        max_price: options.max_price,
        interruption: options
            .instance_interruption_behavior
            .unwrap_or_else(|| "terminate".into()),
        valid_from: None,
        valid_until: options.valid_until.map(Into::into),
        launch: launch.data.stored()?,
        subnet: launch.subnet.clone(),
        state: S::Active,
        status: (FULFILLED.0.into(), FULFILLED.1.into()),
        status_since: site.now,
        instance: Some(instance.id.clone()),
        created: site.now,
        client_token: None,
        tags: super::tag::of(
            &launch.data.tags_of("spot-instances-request"),
            "spot-instances-request",
        )?,
    }))
}

/// Launches the instance of an open request.
pub fn fulfil(
    tx: &mut Tx,
    site: &Site<'_>,
    request: &SpotRequest,
) -> Result<InstanceId, LaunchError> {
    launch_for(tx, site, request).map_err(|e| LaunchError {
        code: e.code.into_owned(),
        message: e.message,
    })
}

fn launch_for(tx: &mut Tx, site: &Site<'_>, request: &SpotRequest) -> Result<InstanceId> {
    let launch = Launch {
        data: LaunchTemplateData::load(&request.launch)?,
        subnet: request.subnet.clone(),
        count: (1, 1),
        spot_request: Some(request.id.clone()),
        ..Launch::default()
    };
    let launched = launch::run(tx, site, launch)?.into_iter().next();
    launched.ok_or_else(|| ApiError::internal("No instance was launched."))
}

/// A request of the user's that is called off; what runs for it runs on.
pub fn call_off(request: &mut SpotRequest, now: Timestamp) {
    let (code, message) = match request.state {
        S::Active | S::Disabled => (
            "request-canceled-and-instance-running",
            "Your Spot request is canceled, but your instance is still running.",
        ),
        _ => (
            "canceled-before-fulfillment",
            "Your Spot request is canceled before it was fulfilled.",
        ),
    };
    request.become_state(S::Cancelled, code, message, now);
}
