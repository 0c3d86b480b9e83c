//! The job `flaky`, attempt by attempt.

use test_extension::flaky::{FlakyState, flaky};
use toehold_sdk::JobResult;
use toehold_sdk::testing::{FakeHost, json};

fn attempt(number: u32) -> FakeHost {
    FakeHost::new().on("query:job.attempt", move |_| Ok(json!({ "attempt": number })))
}

#[test]
#[should_panic(expected = "attempt 1 fails, as the first 2 do")]
fn the_first_attempt_fails() {
    attempt(1).run_from(flaky, b"");
}

#[test]
#[should_panic(expected = "attempt 2 fails, as the first 2 do")]
fn the_last_attempt_that_is_to_fail_fails() {
    attempt(2).run_from(flaky, b"");
}

#[test]
fn the_next_attempt_succeeds() {
    for (number, fail_times) in [(3, 2), (1, 0)] {
        let run = attempt(number).run(flaky, FlakyState { fail_times });
        assert_eq!(run.result, JobResult::Completed);
        assert_eq!(run.log_texts(), [format!("Attempt {number} succeeds")]);
    }
}
