//! Cloud time: how long a wait of AWS takes here.

use jiff::SignedDuration;

/// `--speed N`: control-plane waits take an Nth of their time.
///
/// Shrinks metric periods, cooldowns, probe intervals, schedules and grace
/// periods; never what real software needs (time-outs, boots, draining
/// requests). Timestamps stay wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

impl Default for Speed {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Speed {
    /// Values below 1 (and not-a-number) become 1: a cloud is never slower than AWS says.
    pub fn new(factor: f64) -> Self {
        Self(if factor >= 1.0 {
            factor.min(1000.0)
        } else {
            1.0
        })
    }
    pub fn factor(self) -> f64 {
        self.0
    }
    /// Wall-clock time of a control-plane wait given in seconds.
    pub fn wait(self, seconds: impl Into<f64>) -> SignedDuration {
        SignedDuration::try_from_secs_f64(seconds.into() / self.0).unwrap_or(SignedDuration::ZERO)
    }
    /// A grace or warm-up of `seconds` that includes a boot which took `boot`:
    /// the boot at its real length, the rest shrunk.
    pub fn wait_with_boot(self, seconds: u32, boot: Option<SignedDuration>) -> SignedDuration {
        let whole = SignedDuration::from_secs(seconds.into());
        match boot {
            // Nobody has booted yet: shrinking the wait could kill a healthy slow boot.
            None => whole,
            Some(boot) if boot >= whole => whole,
            Some(boot) => boot + self.wait((whole - boot).as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_shrinks_waits_but_not_boots() {
        let secs = SignedDuration::from_secs;
        assert_eq!(Speed::new(20.0).wait(300), secs(15));
        assert_eq!(Speed::new(0.1).wait(300), secs(300));
        assert_eq!(Speed::new(f64::NAN).wait(300), secs(300));
        assert_eq!(Speed::new(20.0).wait_with_boot(300, None), secs(300));
        assert_eq!(
            Speed::new(20.0).wait_with_boot(300, Some(secs(20))),
            secs(34)
        );
        assert_eq!(
            Speed::new(20.0).wait_with_boot(10, Some(secs(20))),
            secs(10)
        );
    }
}
