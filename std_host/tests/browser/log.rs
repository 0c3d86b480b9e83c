//! The log of a job that says more than anybody reads.

use serde_json::json;

use crate::{
    browser::browse,
    place::{ID, ID_BYTES, Place},
};

/// Logs four lines, sleeps for a moment, and so on without end.
const MODULE: &str = r#"(module
    (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
    (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
    (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "action:sleep{\"ms\":20}one more line")
    (data (i32.const 64) "ID_BYTES")
    (func $line (call $log (i32.const 1) (i32.const 21) (i32.const 13)))
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
    (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
        (loop $again
            (call $line) (call $line) (call $line) (call $line)
            (drop (call $call (i32.const 0) (i32.const 12) (i32.const 0) (i32.const 12) (i32.const 9)))
            (br_if $again (i32.eqz (call $interrupt (i32.const 64)))))
        (i32.const 1)))"#;

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_log_follows_until_somebody_reads_in_it_and_stays_small() {
    let place = Place::empty();
    let manifest = json!({
        "id": "talker", "name": "Talker", "version": "1", "description": "", "author": "", "wasm_file": "module.wasm",
        "permissions": { "methods": ["action:sleep"], "rate_limits": { "requests_per_minute": 1_000_000 }, "max_memory_mb": 1 },
    });
    let folder = place.extension(&manifest, &MODULE.replace("ID_BYTES", ID_BYTES));
    place.ok(&["extension", "add", &folder.display().to_string()]);
    let server = place.serve();
    place.dispatch_known("talker:go", &json!({}));
    browse(async |page| {
        page.open(&format!("{}#/jobs/{ID}", server.url)).await;
        let log = "document.querySelector('.log')";
        let lines = "document.querySelectorAll('.log-line').length";
        let newest = "Number(document.querySelector('.log-line:last-child')?.dataset.line)";
        let is_at_end = format!("{log}.scrollHeight - {log}.scrollTop - {log}.clientHeight < 2");
        let follows = "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Follow').ariaPressed";
        page.until(&format!("{lines} > 50 && {is_at_end}")).await;
        assert_eq!(page.js(follows).await, "true");

        page.js(&format!("{log}.scrollTop = 0")).await;
        page.until(&format!("{follows} === 'false'")).await;
        let seen = page.js(newest).await;
        page.until(&format!("{newest} > {seen} + 20")).await;
        assert_eq!(page.js(&format!("{log}.scrollTop")).await, 0, "it stays where somebody reads");
        page.button("Follow").await;
        page.until(&format!("{follows} === 'true' && {is_at_end}")).await;

        page.until(&format!("{newest} > 2100")).await;
        assert_eq!(page.js(lines).await, 2_000);
        page.until_text("The last 2,000 lines;").await;
        page.button("Pause").await;
        page.until_state("paused").await;
        // Loaded anew, it is the end of the log again.
        page.reload().await;
        page.until(&format!("{lines} === 2000 && {newest} > 2100 && {is_at_end}")).await;
        page.until_text("before them are not shown.").await;
    })
    .await;
}
