//! What an export does around a job, seen on the fake host.

use serde::{Deserialize, Serialize};
use toehold_sdk::testing::{FakeHost, LogLine, Run, Value, json};
use toehold_sdk::{
    CallError, CheckpointError, Error, Interrupt, JobContext, JobResult, LogLevel, Result, Uuid,
};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Steps {
    done: u32,
}

fn three_steps(ctx: &JobContext, state: &mut Steps) -> Result<()> {
    while state.done < 3 {
        ctx.check_interrupt()?;
        state.done += 1;
    }
    Ok(())
}

fn errors<S>(run: &Run<S>) -> Vec<&str> {
    let errors = run.logs.iter().filter(|line| line.level == LogLevel::Error);
    errors.map(|line| line.text.as_str()).collect()
}

#[test]
fn no_state_is_the_default_state() {
    let run = FakeHost::new().run_from(three_steps, b"");
    assert_eq!(run.result, JobResult::Completed);
    assert_eq!(run.state, Some(Steps { done: 3 }));
    assert_eq!(run.checks, 3);
    assert!(run.checkpoints.is_empty() && run.logs.is_empty());
}

#[test]
fn an_interrupt_checkpoints_what_was_done() {
    for host in [FakeHost::new().interrupt_after(2), FakeHost::new().cancel_after(2)] {
        let run = host.run_from(three_steps, b"");
        assert_eq!(run.result, JobResult::Interrupted);
        assert_eq!(run.checkpoints, [br#"{"done":2}"#]);
        assert_eq!(errors(&run), [""; 0]);
    }
}

#[test]
fn a_run_goes_on_from_a_checkpoint() {
    let run = FakeHost::new().run_from(three_steps, br#"{"done":2,"of a newer version":true}"#);
    assert_eq!((run.result, run.checks), (JobResult::Completed, 1));
}

#[test]
fn a_pause_without_a_durable_state_is_a_failure() {
    let run = FakeHost::new().interrupt_after(2).durable_checkpoints(0).run_from(three_steps, b"");
    assert_eq!(run.result, JobResult::Failed);
    assert_eq!(run.refused_checkpoints, 1);
    assert_eq!(errors(&run), ["the host could not make the checkpoint durable"]);
}

#[test]
fn a_cancelled_job_needs_no_durable_state() {
    let run = FakeHost::new().cancel_after(2).durable_checkpoints(0).run_from(three_steps, b"");
    assert_eq!(run.result, JobResult::Interrupted);
    assert_eq!(run.logs[0].level, LogLevel::Warn);
}

/// What the one or the other says of JSON that it can't read or write.
fn by_reader(serde_json: &'static str, our_own: &'static str) -> &'static str {
    if cfg!(feature = "serde_json") { serde_json } else { our_own }
}

#[test]
fn an_unreadable_state_fails_before_the_job() {
    let run = FakeHost::new().run_from(three_steps, br#"{"done":"two"}"#);
    assert_eq!(run.result, JobResult::Failed);
    assert_eq!(run.state, None);
    let reason = by_reader(
        "invalid type: string \"two\", expected u32 at line 1 column 13",
        "expected a number at byte 8",
    );
    let found = "the state can't be read: expected glue::Steps as JSON, found 14 bytes `{\"done\":\"two\"}`";
    assert_eq!(errors(&run), [format!("{found}: {reason}")]);

    let noise = [0xff; 200];
    let run = FakeHost::new().run_from(three_steps, &noise);
    assert_eq!(run.result, JobResult::Failed);
    assert!(
        errors(&run)[0].contains("found 200 bytes") && errors(&run)[0].contains("...`"),
        "{:?}",
        errors(&run)
    );
}

#[test]
fn an_unreadable_context_fails_before_the_job() {
    for ctx in ["", "{}", r#"{"job_id":"7","library_id":"8"}"#] {
        let run = FakeHost::new().run_raw(three_steps, ctx.as_bytes(), b"");
        assert_eq!(run.result, JobResult::Failed, "{ctx}");
        assert!(errors(&run)[0].starts_with("the job context can't be read"), "{:?}", errors(&run));
    }
}

#[test]
fn an_error_is_logged_with_its_causes() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no port")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let run = FakeHost::new().run(
        |_, _: &mut Steps| {
            "x".parse::<u16>().map_err(Outer)?;
            Ok(())
        },
        Steps::default(),
    );
    assert_eq!(run.result, JobResult::Failed);
    let text = "no port: invalid digit found in string".to_string();
    assert_eq!(run.logs, [LogLine { level: LogLevel::Error, text }]);
    assert!(run.checkpoints.is_empty(), "a failure must not replace the last good state");
}

#[test]
fn an_interrupt_survives_helpers_that_box_errors() {
    fn helper(ctx: &JobContext) -> core::result::Result<(), Box<dyn std::error::Error>> {
        Ok(ctx.check_interrupt()?)
    }
    let host = FakeHost::new().interrupt_after(0);
    let run = host.run(|ctx, _: &mut Steps| Ok(helper(ctx)?), Steps { done: 1 });
    assert_eq!(run.result, JobResult::Interrupted);
    assert_eq!(run.last_checkpoint(), Some(br#"{"done":1}"#.as_slice()));
}

#[test]
fn a_job_may_tidy_up_or_stop_by_itself() {
    let job = |ctx: &JobContext, state: &mut Steps| match ctx.interrupt() {
        Interrupt::None => Err(Error::Interrupted(Interrupt::Pause)),
        _ => {
            state.done = 9;
            Ok(())
        }
    };
    let run = FakeHost::new().run(job, Steps::default());
    assert_eq!((run.result, run.checkpoints.len()), (JobResult::Interrupted, 1));
    let run = FakeHost::new().cancel_after(0).run(job, Steps::default());
    assert_eq!((run.result, run.state), (JobResult::Completed, Some(Steps { done: 9 })));
}

#[test]
fn everything_reaches_the_host() {
    let job_id = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap();
    let library_id = Uuid::from_bytes([7; 16]);
    let host = FakeHost::new().job_id(job_id).library_id(library_id);
    let run = host.run(
        move |ctx, _: &mut Steps| {
            assert_eq!((ctx.job_id(), ctx.library_id()), (job_id, Some(library_id)));
            ctx.debug("d");
            ctx.info(String::from("i"));
            ctx.warn(format_args!("{}", 'w'));
            ctx.error(3);
            ctx.report_progress(0.5, "half");
            ctx.report_progress(7.0, String::from("over"));
            ctx.report_progress(f32::NAN, "dropped");
            ctx.add_warning("careful");
            ctx.increment_bytes(1 << 40);
            ctx.increment_bytes(1);
            ctx.increment_items(2);
            Ok(())
        },
        Steps::default(),
    );
    assert_eq!(run.result, JobResult::Completed);
    assert_eq!(run.log_texts(), ["d", "i", "w", "3"]);
    let levels: Vec<i32> = run.logs.iter().map(|line| line.level.code()).collect();
    assert_eq!(levels, [0, 1, 2, 3]);
    let progress: Vec<_> = run.progress.iter().map(|p| (p.fraction, p.message.as_str())).collect();
    assert_eq!(progress, [(0.5, "half"), (1.0, "over")]);
    assert_eq!(run.warnings, ["careful"]);
    assert_eq!((run.bytes, run.items), ((1 << 40) + 1, 2));
}

#[test]
fn a_checkpoint_says_whether_it_is_durable() {
    let host = FakeHost::new().durable_checkpoints(1);
    let run = host.run(
        |ctx, state: &mut Steps| {
            assert_eq!(ctx.checkpoint(state), Ok(()));
            assert_eq!(ctx.checkpoint(state), Err(CheckpointError::NotDurable));
            let keys_are_no_text = std::collections::BTreeMap::from([(vec![1], 2)]);
            match ctx.checkpoint(&keys_are_no_text) {
                Err(CheckpointError::Encode { reason }) => assert_eq!(reason, "key must be a string"),
                other => panic!("{other:?}"),
            }
            Ok(())
        },
        Steps::default(),
    );
    assert_eq!((run.checkpoints.len(), run.refused_checkpoints), (1, 1));
}

#[test]
fn calls_give_a_reply_or_say_why_not() {
    let library = Uuid::from_bytes([3; 16]);
    let host = FakeHost::new()
        .on("query:double", |input| match input.as_u64() {
            Some(number) => Ok(json!(number * 2)),
            None => Err("only numbers".into()),
        })
        .no_reply_on("query:huge");
    let run = host.run(
        move |ctx, _: &mut Steps| {
            assert_eq!(ctx.call("query:double", Some(library), &21), Ok(42));
            let errors = [
                ctx.call::<_, u64>("query:double", None, "x").unwrap_err(),
                ctx.call::<_, u64>("query:huge", None, &()).unwrap_err(),
                ctx.call::<_, u64>("action:wipe", None, &()).unwrap_err(),
                ctx.call::<_, String>("query:double", None, &1).unwrap_err(),
            ];
            assert!(matches!(&errors[0], CallError::Failed { message, .. } if message == "only numbers"));
            for error in errors {
                ctx.info(error);
            }
            ctx.call::<_, ()>("action:wipe", None, &())?;
            Ok(())
        },
        Steps::default(),
    );
    assert_eq!(run.result, JobResult::Failed);
    assert_eq!(
        run.log_texts(),
        [
            "query:double: only numbers",
            "query:huge: no room for a reply in the extension's memory",
            "action:wipe: action:wipe is not permitted",
            &format!(
                "query:double: the reply can't be read: expected alloc::string::String as JSON, found 1 bytes `2`: {}",
                by_reader(
                    "invalid type: integer `2`, expected a string at line 1 column 1",
                    "expected text at byte 0"
                )
            ),
            "action:wipe: action:wipe is not permitted",
        ]
    );
    assert_eq!((run.calls[0].library_id, &run.calls[0].input), (Some(library), &json!(21)));
    assert_eq!(run.calls[1].library_id, None);
    assert_eq!(run.calls.last().map(|call| &call.input), Some(&Value::Null));
}

#[test]
fn a_panic_leaves_no_host_behind() {
    for _ in 0..2 {
        let outcome = std::panic::catch_unwind(|| {
            FakeHost::new().run(|_, _: &mut Steps| panic!("as a trap would"), Steps::default())
        });
        assert!(outcome.is_err());
    }
    let run = FakeHost::new().run(three_steps, Steps::default());
    assert_eq!(run.result, JobResult::Completed);
}

#[test]
fn a_nil_library_is_none() {
    let host = FakeHost::new().library_id(Uuid::from_bytes([0; 16]));
    let run = host.run(
        |ctx, _: &mut Steps| {
            assert_eq!(ctx.library_id(), None);
            Ok(())
        },
        Steps::default(),
    );
    assert_eq!(run.result, JobResult::Completed);
}

#[test]
fn a_step_is_a_progress_with_a_message_that_tells_it() {
    let run = FakeHost::new().run(
        |ctx, _: &mut Steps| {
            ctx.report_step("hashing", 3, 12, "notes.txt");
            ctx.report_step("", 1, 3, String::new());
            ctx.report_step("[a] b", 0, 0, "[c]");
            ctx.report_progress(0.5, "half");
            Ok(())
        },
        Steps::default(),
    );
    let progress: Vec<_> = run.progress.iter().map(|p| (p.fraction, p.message.as_str())).collect();
    assert_eq!(
        progress,
        [(0.25, "[hashing 3/12] notes.txt"), (1.0 / 3.0, "[1/3]"), (1.0, "[(a) b 0/0] [c]"), (0.5, "half")]
    );
    let phases: Vec<_> = run.progress.iter().map(|p| p.step().map(|step| step.phase)).collect();
    assert_eq!(phases, [Some(Some("hashing")), Some(None), Some(Some("(a) b")), None]);
}
