use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::CallContext;

/// Bytes that one call gives at most: enough for keys and seeds, and no load.
const MAX_LENGTH: usize = 4_096;

#[derive(Deserialize)]
pub(super) struct Input {
    length: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Output {
    /// Standard base64, padded.
    bytes: String,
}

/// `query:random.bytes`: bytes of the system's generator, fit for keys.
pub(super) fn bytes(_: &CallContext<'_>, Input { length }: Input) -> Result<Output, String> {
    let length = usize::try_from(length)
        .ok()
        .filter(|length| (1..=MAX_LENGTH).contains(length))
        .ok_or_else(|| format!("`length` is {length}; it must be from 1 to {MAX_LENGTH} bytes"))?;
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(Output { bytes: STANDARD.encode(bytes) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::{Grants, testing::call},
        *,
    };

    fn random(length: Value) -> Result<Vec<u8>, String> {
        let reply = call(&Grants::default(), "query:random.bytes", json!({ "length": length }))?;
        Ok(STANDARD.decode(reply["bytes"].as_str().unwrap()).unwrap())
    }

    #[test]
    fn as_many_bytes_as_asked_for_and_others_each_time() {
        assert_eq!(random(json!(1)).unwrap().len(), 1);
        assert_eq!(random(json!(4_096)).unwrap().len(), 4_096);
        assert_ne!(random(json!(16)), random(json!(16)));
    }

    #[test]
    fn a_length_out_of_range_is_refused() {
        for length in [json!(0), json!(4_097), json!(u64::MAX)] {
            let error = random(length.clone()).unwrap_err();
            assert_eq!(error, format!("`length` is {length}; it must be from 1 to 4096 bytes"));
        }
        for length in [json!(-1), json!(1.5), json!("16"), json!(null)] {
            assert!(random(length.clone()).is_err(), "{length}");
        }
    }
}
