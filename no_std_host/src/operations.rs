use alloc::{boxed::Box, format, string::String, vec::Vec};

use base64ct::{Base64, Encoding};
use serde::Deserialize;
use toehold::{Call, Called, Reply};

/// What jobs can call, beside what the shell has itself. Empty at first.
///
/// The shell has, as other hosts do (docs/operations.md): `query:ping`, `query:time.now`, `query:random.bytes`, `query:job.attempt`
/// and `action:sleep`.
///
/// ```
/// use no_std_host::Operations;
/// use toehold::Called;
///
/// let mut operations = Operations::default();
/// operations.register("action:led.set", |call| {
///     let on = call.payload == b"true";
///     // set the pin
/// #   let _ = on;
///     Called::Ready(Ok(b"{}".to_vec()))
/// });
/// ```
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "operations are closures")]
pub struct Operations(Vec<(&'static str, Operation)>);

type Operation = Box<dyn FnMut(&Call) -> Called>;

impl Operations {
    /// Adds an operation, in the place of one of this name.
    ///
    /// It is called with the same [`Call`], by its key, until it says [`Called::Ready`], and again after a power cut in between: an
    /// operation that acts must not act twice for one key.
    pub fn register(&mut self, method: &'static str, operation: impl FnMut(&Call) -> Called + 'static) {
        self.0.retain(|(name, _)| *name != method);
        self.0.push((method, Box::new(operation)));
    }

    /// Carries out a call, if there is such an operation.
    pub(crate) fn call(&mut self, call: &Call) -> Option<Called> {
        let (_, operation) = self.0.iter_mut().find(|(name, _)| *name == call.method)?;
        Some(operation(call))
    }
}

#[derive(Deserialize)]
struct SleepFor {
    ms: u64,
}

#[derive(Deserialize)]
struct Length {
    length: usize,
}

/// The most that `query:random.bytes` gives.
const RANDOM_BYTES: usize = 4_096;

/// Milliseconds that a job wants to sleep.
pub(crate) fn sleep_ms(call: &Call) -> Result<u64, String> {
    input::<SleepFor>(call, r#"{"ms": 100}"#).map(|sleep| sleep.ms)
}

pub(crate) fn ping(call: &Call) -> Reply {
    if call.payload.is_empty() {
        return Ok(br#"{"pong":true}"#.to_vec());
    }
    // What is no JSON would make a reply that is none.
    if serde_json_core::from_slice::<serde::de::IgnoredAny>(&call.payload).is_err() {
        return Err(format!("{}: the payload is not JSON", call.method));
    }
    Ok([br#"{"pong":true,"echo":"#, call.payload.as_slice(), b"}"].concat())
}

pub(crate) fn random_bytes(call: &Call, fill: impl FnOnce(&mut [u8])) -> Reply {
    let length = input::<Length>(call, r#"{"length": 16}"#)?.length;
    if !(1..=RANDOM_BYTES).contains(&length) {
        return Err(format!("{}: `length` is {length}; it is 1 to {RANDOM_BYTES}", call.method));
    }
    let mut bytes = alloc::vec![0; length];
    fill(&mut bytes);
    Ok(format!(r#"{{"bytes":"{}"}}"#, Base64::encode_string(&bytes)).into_bytes())
}

fn input<'a, T: Deserialize<'a>>(call: &'a Call, example: &str) -> Result<T, String> {
    match serde_json_core::from_slice(&call.payload) {
        Ok((input, _)) => Ok(input),
        Err(_) => Err(format!("{}: the payload must be like {example}", call.method)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, payload: &str) -> Call {
        let key = toehold::CallKey { job: toehold::Uuid::nil(), number: 1 };
        let (extension, method) = (String::from("x"), String::from(method));
        Call { key, extension, method, library: None, payload: payload.as_bytes().to_vec() }
    }

    #[test]
    fn a_payload_of_another_shape_is_told_of() {
        assert_eq!(sleep_ms(&call("action:sleep", r#"{"ms": 5}"#)), Ok(5));
        let error = sleep_ms(&call("action:sleep", r#"{"s": 5}"#)).unwrap_err();
        assert_eq!(error, r#"action:sleep: the payload must be like {"ms": 100}"#);
        let random = |length: &str| random_bytes(&call("query:random.bytes", length), |bytes| bytes.fill(1));
        assert_eq!(random(r#"{"length": 3}"#).unwrap(), br#"{"bytes":"AQEB"}"#);
        assert!(random(r#"{"length": 0}"#).is_err() && random(r#"{"length": 4097}"#).is_err());
    }

    #[test]
    fn a_ping_comes_back_as_json() {
        assert_eq!(ping(&call("query:ping", "")).unwrap(), br#"{"pong":true}"#);
        assert_eq!(ping(&call("query:ping", "[1]")).unwrap(), br#"{"pong":true,"echo":[1]}"#);
        assert!(ping(&call("query:ping", "[1")).is_err());
    }

    #[test]
    fn a_firmware_adds_its_own() {
        let mut operations = Operations::default();
        assert_eq!(operations.call(&call("action:a", "")), None);
        operations.register("action:a", |_| Called::Ready(Ok(Vec::new())));
        operations.register("action:a", |_| Called::Pending);
        assert_eq!(operations.call(&call("action:a", "")), Some(Called::Pending));
    }
}
