//! The committed module does what its source does when that runs natively.

use std_host::toehold::{LogLevel, Outcome};
use test_extension::counter::counter;
use toehold_sdk::{JobResult, testing::FakeHost};

use crate::support::TestHost;

#[test]
fn counter_in_webassembly_and_natively() {
    let test = TestHost::new().loaded();
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
