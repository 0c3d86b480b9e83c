//! The job `crash`.

use test_extension::crash::{CrashState, crash};
use toehold_sdk::testing::FakeHost;

#[test]
#[should_panic(expected = "out of rope")]
fn it_panics_with_the_message_of_its_state() {
    FakeHost::new().run(crash, CrashState { message: "out of rope".to_owned() });
}
