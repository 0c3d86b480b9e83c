use crate::Millis;

/// Lets so many events through in a minute, in bursts of up to a minute's worth.
///
/// The generic cell rate algorithm (ITU-T I.371): one number, the time at which the bucket is empty again, and no
/// clock of its own. It counts in 1/`per_minute` milliseconds, so that every rate divides evenly.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_minute: u32,
    empty_at: u128,
}

const MINUTE: u128 = 60_000;

impl RateLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, empty_at: 0 }
    }

    /// Whether one more event may happen at `now`; if so it counts. A clock that jumps back only delays.
    pub(crate) fn allow(&mut self, now: Millis) -> bool {
        let rate = u128::from(self.per_minute);
        let now = u128::from(now) * rate;
        let empty_at = self.empty_at.max(now) + MINUTE;
        let allowed = empty_at - now <= MINUTE * rate;
        if allowed {
            self.empty_at = empty_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_what_it_should() {
        let mut limit = RateLimit::new(3);
        let burst = (0..10).filter(|_| limit.allow(5)).count();
        assert_eq!(burst, 3);
        assert!(!limit.allow(20_004), "a third of a minute is not over yet");
        assert!(limit.allow(20_005));
        assert!(!limit.allow(20_005));
        assert!(!limit.allow(0), "the clock jumped back");
        assert_eq!((0..10).filter(|_| limit.allow(u64::MAX)).count(), 3);
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_through() {
        assert!(!RateLimit::new(0).allow(1_000_000));
    }
}
