//! Who signed a request: the SigV4 `Authorization` header or presigned query.
//!
//! Parsing only. Any key works by default, so most callers stop at
//! [`Credential::of`]; [`crate::signature`] checks the signature where that is
//! asked for.

use crate::error::ApiError;
use crate::form;
use crate::request::HttpRequest;

/// The scope of a signature: enough to know who asks whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    pub access_key: String,
    /// `20240501`
    pub date: String,
    pub region: String,
    /// `ec2`, `elasticloadbalancing`, …
    pub service: String,
}

/// Everything a SigV4 signature says.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    pub credential: Credential,
    /// Lower-case names, as signed.
    pub signed_headers: Vec<String>,
    /// Hex.
    pub signature: String,
    /// `20240501T100000Z`
    pub date: String,
    pub session_token: Option<String>,
    /// Seconds, of a presigned URL; `None` when the header signs.
    pub expires: Option<u32>,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

impl Credential {
    /// The scope alone; `None` when the request is unsigned or the signature cannot be read.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        Signed::parse(request).ok().map(|signed| signed.credential)
    }

    /// `AKID/20240501/us-east-1/ec2/aws4_request`; key ids of some tools contain slashes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(5, '/');
        let terminator = parts.next()?;
        let service = parts.next()?.to_owned();
        let region = parts.next()?.to_owned();
        let date = parts.next()?.to_owned();
        let access_key = parts.next()?.to_owned();
        let complete = terminator == "aws4_request" && !access_key.is_empty();
        complete.then_some(Self {
            access_key,
            date,
            region,
            service,
        })
    }
}

impl Signed {
    pub fn parse(request: &HttpRequest) -> Result<Self, ApiError> {
        if let Some(header) = request.header("authorization") {
            return Self::from_header(header, request);
        }
        if request.query.contains("X-Amz-Signature=") || request.query.contains("X-Amz-Credential=")
        {
            return Self::from_query(request);
        }
        let message = "Request is missing Authentication Token";
        Err(ApiError::new(403, "MissingAuthenticationToken", message))
    }

    fn from_header(header: &str, request: &HttpRequest) -> Result<Self, ApiError> {
        let fields = header.strip_prefix(ALGORITHM).ok_or_else(|| {
            incomplete(
                "Unsupported AWS 'algorithm': the Authorization header must be AWS4-HMAC-SHA256",
            )
        })?;
        let field = |name: &str| {
            let mut values = fields.split(',').filter_map(|field| {
                let (field, value) = field.trim().split_once('=')?;
                (field == name).then_some(value)
            });
            values.next().ok_or_else(|| {
                incomplete(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let date = request.header("x-amz-date").map(str::to_owned);
        let date = date.ok_or_else(|| {
            incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        })?;
        Ok(Self {
            credential: credential(field("Credential")?)?,
            signed_headers: names(field("SignedHeaders")?),
            signature: field("Signature")?.to_owned(),
            date,
            session_token: request.header("x-amz-security-token").map(str::to_owned),
            expires: None,
        })
    }

    fn from_query(request: &HttpRequest) -> Result<Self, ApiError> {
        let pairs = form::parse(request.query.as_bytes())
            .map_err(|_| incomplete("The query string cannot be read"))?;
        let find = |name: &str| {
            let mut values = pairs.iter().filter(|(n, _)| n == name);
            values.next().map(|(_, value)| value.to_string())
        };
        let field = |name: &str| {
            find(name).ok_or_else(|| {
                incomplete(format!("AWS query-string parameters must include '{name}'"))
            })
        };
        if field("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete("X-Amz-Algorithm only supports AWS4-HMAC-SHA256"));
        }
        let expires = find("X-Amz-Expires").map(|text| text.parse());
        Ok(Self {
            credential: credential(&field("X-Amz-Credential")?)?,
            signed_headers: names(&field("X-Amz-SignedHeaders")?),
            signature: field("X-Amz-Signature")?,
            date: field("X-Amz-Date")?,
            session_token: find("X-Amz-Security-Token"),
            expires: match expires.transpose() {
                Ok(seconds) => Some(seconds.unwrap_or(DEFAULT_EXPIRY)),
                Err(_) => return Err(incomplete("X-Amz-Expires should be a number")),
            },
        })
    }
}

/// Seconds. A presigned STS or EC2 URL without `X-Amz-Expires` is good for 15 minutes.
const DEFAULT_EXPIRY: u32 = 900;

fn credential(text: &str) -> Result<Credential, ApiError> {
    Credential::parse(text).ok_or_else(|| {
        incomplete(format!(
            "'{text}' is not a credential: it must have the form <key>/YYYYMMDD/REGION/SERVICE/aws4_request"
        ))
    })
}

fn names(list: &str) -> Vec<String> {
    list.split(';').map(str::to_owned).collect()
}

fn incomplete(message: impl Into<String>) -> ApiError {
    ApiError::client("IncompleteSignature", message)
}
