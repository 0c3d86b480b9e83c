//! What axe-core, which knows the rules of accessibility, says of each view: in light and in dark, on a desk and on a phone.

use serde_json::{Value, json};

use crate::{
    browser::{Page, browse},
    place::{Place, test_extension},
};

/// axe-core 4.14.1 by Deque Systems, under the Mozilla Public License 2.0, as it is published.
const AXE: &str = include_str!("axe.min.js");

/// Runs axe on what is to be seen, on every kind of screen, and fails on what is serious or critical.
async fn check(page: &Page, what: &str) {
    for scheme in ["light", "dark"] {
        for width in [1_280, 320] {
            page.look(width, 900, scheme).await;
            let found = page
                .script(
                    &format!(
                        "{AXE};
                         const done = arguments[0];
                         axe.run({{ resultTypes: ['violations'] }}).then(
                             ({{ violations }}) => done(violations.map(({{ id, impact, nodes }}) => ({{ id, impact, at: nodes.map((node) => node.html) }}))),
                             (error) => done(String(error)));"
                    ),
                    Vec::new(),
                )
                .await;
            let found = found.as_array().unwrap_or_else(|| panic!("axe fails: {found}"));
            let is_bad = |one: &&Value| matches!(one["impact"].as_str(), Some("serious" | "critical"));
            let bad: Vec<&Value> = found.iter().filter(is_bad).collect();
            assert!(bad.is_empty(), "{what}, {scheme}, {width} wide: {bad:#?}");
            // Nothing has to be scrolled sideways.
            let over =
                page.js("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
            assert_eq!(over, 0, "{what}, {width} wide, is wider than its screen");
        }
    }
    page.look(1_280, 900, "light").await;
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn axe_finds_nothing_serious_in_any_view() {
    let place = Place::new();
    let server = place.serve_with(&["--attempts", "1"]);
    let running = place.dispatch("test-extension:tally", &json!({ "target": 1_000_000, "pace_ms": 20 }));
    let failed = place.dispatch("test-extension:crash", &json!({ "message": "out of rope" }));
    let warned = place.dispatch("test-extension:wordcount", &json!({}));
    let _ = place.command_status(&["job", "wait", &failed]);
    place.ok(&["job", "wait", &warned]);
    browse(async |page| {
        let at = |hash: &str| format!("{}{hash}", server.url);
        page.open(&at("#/jobs")).await;
        page.until("document.querySelectorAll('tbody tr').length === 3").await;
        check(page, "the list").await;
        page.open(&at("#/jobs?state=cancelled")).await;
        page.until_text("No job fits.").await;
        check(page, "an empty list").await;
        for id in [&running, &failed, &warned] {
            page.open(&at(&format!("#/jobs/{id}"))).await;
            page.until("document.querySelector('.log-line') ?? document.querySelector('.json-tree li')")
                .await;
            page.until("document.querySelector('.events li')").await;
            page.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })").await;
            check(page, "a job").await;
        }
        page.open(&at("#/extensions")).await;
        page.until_text("9 jobs").await;
        check(page, "the extensions").await;
        let folder = test_extension();
        page.give_files(
            "input[type=file]",
            &[folder.join("manifest.json"), folder.join("test_extension.wasm")],
        )
        .await;
        page.until_text("It may").await;
        check(page, "what is to be installed").await;
        page.open(&at("#/extensions/test-extension")).await;
        page.until_text("SHA-256").await;
        check(page, "an extension").await;
        page.button("Remove").await;
        page.until("document.querySelector('dialog[open]')").await;
        check(page, "a question").await;
        page.button("Keep it").await;
        page.open(&at("#/dispatch?job=test-extension:tally")).await;
        page.until_text("As the extension describes it.").await;
        check(page, "dispatch").await;
        page.open(&at("#/import")).await;
        page.until_text("A bundle is all there is of a job").await;
        check(page, "import").await;
        page.open(&at("#/nowhere")).await;
        page.until_text("There is no view at").await;
        check(page, "nothing").await;
        drop(server);
        page.until("!document.getElementById('banner').hidden").await;
        check(page, "the banner").await;
    })
    .await;
}
