use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::CallContext;

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Output {
    /// Milliseconds since 1970-01-01 00:00 UTC, without leap seconds.
    unix_ms: u64,
}

/// `query:time.now`: the system's clock, which may jump.
pub(super) fn now(_: &CallContext<'_>, (): ()) -> Result<Output, String> {
    unix_ms(SystemTime::now()).map(|unix_ms| Output { unix_ms })
}

fn unix_ms(time: SystemTime) -> Result<u64, String> {
    let since = time.duration_since(UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .ok_or_else(|| "the host's clock is not set: it shows a time before 1970 or far beyond".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{
        super::{Grants, testing::call},
        *,
    };

    #[test]
    fn the_time_is_in_milliseconds_since_1970() {
        assert_eq!(unix_ms(UNIX_EPOCH + Duration::from_millis(1_735_689_600_123)), Ok(1_735_689_600_123));
        let reply = call(&Grants::default(), "query:time.now", json!({})).unwrap();
        let now = unix_ms(SystemTime::now()).unwrap();
        assert!(
            reply["unix_ms"].as_u64().is_some_and(|then| (now - 60_000..=now).contains(&then)),
            "{reply}"
        );
    }

    #[test]
    fn a_clock_before_1970_is_an_error() {
        let error = unix_ms(UNIX_EPOCH - Duration::from_secs(1)).unwrap_err();
        assert!(error.contains("before 1970"), "{error}");
    }
}
