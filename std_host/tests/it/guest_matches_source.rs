//! The committed module does what its source does when that runs natively.

use std_host::{
    CallContext, Operations,
    toehold::{Call, CallKey, LogLevel, Outcome, Uuid},
};
use test_extension::{counter::counter, wordcount::wordcount};
use toehold_sdk::{JobResult, testing::FakeHost};

use crate::support::TestHost;

#[test]
fn counter_in_webassembly_and_natively() {
    let test = TestHost::new().loaded_without_schemas();
    for state in ["", "{}", r#"{"target":10}"#, r#"{"current":7,"target":33,"processed":2}"#, "[1]", "{"] {
        let native = FakeHost::new().run_from(counter, state.as_bytes());
        let guest = test.dispatch("test-extension:counter", state).wait();
        let result = match &guest.outcome {
            Outcome::Completed => JobResult::Completed,
            Outcome::Failed(_) => JobResult::Failed,
            other => panic!("{state}: {other:?}"),
        };
        assert_eq!(result, native.result, "{state}");
        let lines: Vec<&str> = guest.log_tail.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, native.log_texts(), "{state}");
        assert_eq!(guest.report.items, native.items, "{state}");
        assert_eq!(guest.report.checkpoints, native.checkpoints.len() as u64, "{state}");
        if let Some(checkpoint) = native.last_checkpoint() {
            assert_eq!(guest.state, checkpoint, "{state}");
        }
        let progress = guest.report.progress.map(|progress| (progress.fraction, progress.message));
        let last = native.progress.last().map(|progress| (progress.fraction, progress.message.clone()));
        assert_eq!(progress, last, "{state}");
        assert_eq!(
            guest.log_tail.iter().any(|line| line.level == LogLevel::Error),
            result == JobResult::Failed
        );
    }
}

#[test]
fn wordcount_in_webassembly_and_natively() {
    let test = TestHost::new().loaded_without_schemas();
    for state in
        ["", r#"{"folder":"samples","last":"empty.txt"}"#, r#"{"folder":"nowhere"}"#, r#"{"folder":7}"#]
    {
        let grants = test.host.extensions().get("test-extension").unwrap().grants().clone();
        let mut host = FakeHost::new();
        for method in ["query:fs.list", "query:fs.read"] {
            let grants = grants.clone();
            // The native job gets its replies from the very operations that the guest gets them from.
            host = host.on(method, move |input| {
                let call = Call {
                    key: CallKey { job: Uuid::from_u128(1), number: 1 },
                    extension: "test-extension".to_owned(),
                    method: method.to_owned(),
                    library: None,
                    payload: input.to_string().into_bytes(),
                };
                let reply = Operations::built_in().carry_out(&CallContext::new(&call, &grants))?;
                Ok(serde_json::from_slice(&reply).unwrap())
            });
        }
        let native = host.run_from(wordcount, state.as_bytes());
        let guest = test.dispatch("test-extension:wordcount", state).wait();
        assert_eq!(guest.outcome == Outcome::Completed, native.result == JobResult::Completed, "{state}");
        let lines: Vec<&str> = guest.log_tail.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, native.log_texts(), "{state}");
        assert_eq!((guest.report.items, guest.report.bytes), (native.items, native.bytes), "{state}");
        if let Some(checkpoint) = native.last_checkpoint() {
            assert_eq!(guest.state, checkpoint, "{state}");
        }
    }
}
