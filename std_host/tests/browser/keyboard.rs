//! The page without a mouse.

use serde_json::json;

use crate::{
    browser::{Page, browse},
    place::Place,
};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Presses Tab until what has these words has the focus, which can be seen at each stop.
async fn tab_to(page: &Page, words: &str) {
    for _ in 0..80 {
        page.press(TAB).await;
        if page.focused().await == words {
            return;
        }
        let outline = page.js("document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== 'none' || document.activeElement.matches('input[type=file]')");
        assert_eq!(outline.await, true, "one can't see the focus at {:?}", page.focused().await);
    }
    panic!("Tab does not lead to {words:?}: {}", page.text().await);
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_job_is_dispatched_paused_resumed_and_cancelled_by_keys_alone() {
    let place = Place::new();
    let server = place.serve();
    browse(async |page| {
        page.open(&server.url).await;
        page.until_text("No job yet.").await;
        page.press(TAB).await;
        assert_eq!(page.focused().await, "Skip to the content");
        page.press(ENTER).await;
        page.until("document.activeElement.id === 'main'").await;
        tab_to(page, "Dispatch a job").await;
        page.press(ENTER).await;
        // The new view is read out: its heading has the focus, and the title says it.
        page.until(
            "document.activeElement.matches('h1') && document.activeElement.textContent === 'Dispatch a job'",
        )
        .await;
        assert_eq!(page.js("document.title").await, "Dispatch – Toehold");
        page.until("document.getElementById('raw')").await;
        // Whoever comes to a field by Tab writes over what is in it.
        tab_to(page, "Where the counting ends target").await;
        page.press("4000000000").await;
        tab_to(page, "Dispatch").await;
        page.press(ENTER).await;
        page.until_state("running").await;
        page.until(
            "document.activeElement.matches('h1') && document.activeElement.textContent === 'counter'",
        )
        .await;
        tab_to(page, "Pause").await;
        page.press(ENTER).await;
        page.until_state("paused").await;
        // The button that is gone does not take the focus along.
        page.until("document.activeElement.textContent === 'Resume'").await;
        page.press(ENTER).await;
        page.until_state("running").await;
        page.until("document.activeElement.textContent === 'Pause'").await;
        tab_to(page, "Cancel").await;
        page.press(ENTER).await;
        page.until("document.activeElement.textContent === 'Keep it'").await;
        page.press(ESCAPE).await;
        page.until("!document.querySelector('dialog') && document.activeElement.textContent === 'Cancel'")
            .await;
        page.press(ENTER).await;
        page.until("document.activeElement.textContent === 'Keep it'").await;
        page.press(TAB).await;
        assert_eq!(page.focused().await, "Cancel the job");
        page.press(ENTER).await;
        page.until_state("cancelled").await;
        // It was told once, in words.
        page.until("document.getElementById('announcer').textContent === 'The job is cancelled.'").await;
        page.back().await;
        page.until(
            "document.activeElement.matches('h1') && document.activeElement.textContent === 'Dispatch a job'",
        )
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn the_log_and_the_list_are_reached_by_keys() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("test-extension:counter", &json!({ "target": 3 }));
    place.ok(&["job", "wait", &id]);
    browse(async |page| {
        page.open(&server.url).await;
        page.until("document.querySelector('tbody tr')").await;
        tab_to(page, "counter").await;
        page.press(ENTER).await;
        page.until_text("✓ Completed!").await;
        tab_to(page, "Log lines").await;
        assert_eq!(page.js("document.activeElement.matches('.log')").await, true);
    })
    .await;
}
