//! A job from the upload of its extension to its end, and to another host.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::{
    browser::{Page, browse},
    place::{Place, test_extension},
};

/// How far the bar of a job's page is, from 0 to 100.
const BAR: &str =
    "Number(document.querySelector('.job-progress [role=progressbar]')?.getAttribute('aria-valuenow'))";

/// Dispatches a job with this state by the form, and comes back on its page.
pub(crate) async fn dispatch(page: &Page, url: &str, job: &str, state: &str) {
    page.open(&format!("{url}#/dispatch?job={job}")).await;
    page.fill("State as JSON", state).await;
    page.button("Dispatch").await;
    page.until("location.hash.startsWith('#/jobs/')").await;
}

/// The id of the job whose page this is.
pub(crate) async fn job_id(page: &Page) -> String {
    let id = page.until("location.hash.split('/')[2]").await;
    id.as_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_job_from_the_upload_to_its_end() {
    let place = Place::empty();
    let server = place.serve();
    browse(async |page| {
        page.open(&server.url).await;
        page.until_text("No job yet.").await;
        page.link("Install an extension").await;
        let folder = test_extension();
        page.give_files("input[type=file]", &[folder.join("manifest.json"), folder.join("test_extension.wasm")]).await;
        // It says what the extension may do before it is installed.
        page.until_text("Dispatch other jobs").await;
        assert!(!page.text().await.contains("9 jobs"), "{}", page.text().await);
        page.button("Install").await;
        page.until_text("Test Extension 0.1.0 is installed.").await;
        page.until_text("9 jobs").await;

        dispatch(page, &server.url, "test-extension:counter", r#"{"target": 40000}"#).await;
        let id = job_id(page).await;
        page.until_state("running").await;
        let first = page.until(BAR).await.as_f64().unwrap();
        page.until(&format!("{BAR} > {first}")).await;
        page.until_text("items/s").await;
        page.button("Pause").await;
        page.until_state("paused").await;
        assert_eq!(place.status(&id)["state"], "paused");
        let paused = page.js(BAR).await.as_f64().unwrap();
        assert!(paused < 100.0, "{paused}");

        page.reload().await;
        page.until_state("paused").await;
        assert!(page.until(BAR).await.as_f64().unwrap() >= paused);
        page.button("Resume").await;
        page.until(&format!("{BAR} > {paused}")).await;
        page.until_state("completed").await;
        assert_eq!(page.js(BAR).await, 100);
        // Without anything being loaded again, all of it is told.
        page.until_text("✓ Completed!").await;
        page.until("document.querySelector('.events [data-event=completed]')").await;
        page.until("document.querySelector('.chart .line').getAttribute('d').split('L').length > 2").await;
        page.until("[...document.querySelectorAll('.json-tree li')].some((li) => li.textContent === 'current 40000')").await;

        page.button("Remove").await;
        page.button("Remove the job").await;
        page.until_text("No job yet.").await;
        assert_eq!(page.complaints().await, [""; 0]);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_job_is_exported_here_and_goes_on_there() {
    let (here, there) = (Place::new(), Place::empty());
    let (one, other) = (here.serve(), there.serve());
    browse(async |page| {
        let folder = here.folder().join("downloads");
        fs::create_dir(&folder).unwrap();
        let behaviour = json!({ "behavior": "allow", "downloadPath": folder.display().to_string() });
        page.devtools("Browser.setDownloadBehavior", behaviour).await;
        dispatch(page, &one.url, "test-extension:tally", r#"{"target": 1000, "pace_ms": 1}"#).await;
        let id = job_id(page).await;
        page.until("document.querySelector('.events [data-event=checkpoint]')").await;
        page.button("Pause").await;
        page.until_state("paused").await;
        page.button("Export").await;
        let bundle = downloaded(page, folder.join(format!("{id}.bundle"))).await;

        page.open(&format!("{}#/import", other.url)).await;
        page.give_files("#bundle", &[bundle]).await;
        page.button("Import").await;
        page.until_state("paused").await;
        page.button("Resume").await;
        page.until_state("completed").await;
        assert_eq!(there.status(&id)["report"]["items"], 1_000);
        // Once more is refused, in the server's words.
        page.open(&format!("{}#/import", other.url)).await;
        page.give_files("#bundle", &[here.folder().join("downloads").join(format!("{id}.bundle"))]).await;
        page.button("Import").await;
        page.until("document.querySelector('.problem')?.innerText.includes('already')").await;
    })
    .await;
}

/// A file once all of it is there: the browser gives it its name at the end.
async fn downloaded(page: &Page, path: PathBuf) -> PathBuf {
    page.until_text("The bundle of the job is downloaded.").await;
    let arrived = async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), arrived).await.expect("the file arrives");
    path
}

/// Larger than any number that JavaScript has exactly.
const LARGE: u64 = u64::MAX;
/// The JSON beside the form.
const JSON: &str = "document.getElementById('raw').value";

/// What a job was dispatched with, to the letter.
async fn sent(page: &Page, id: &str) -> String {
    let script = "const [id, done] = arguments; fetch(`api/v1/jobs/${id}/state`).then((answer) => answer.text()).then(done);";
    page.script(script, vec![json!(id)]).await.as_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn the_form_for_a_state_and_its_json_follow_each_other() {
    let place = Place::new();
    let server = place.serve();
    browse(async |page| {
        page.open(&format!("{}#/dispatch?job=test-extension:spin", server.url)).await;
        page.until_text("As the extension describes it.").await;
        page.until(&format!("{JSON}.includes('\"rounds\": 1000000')")).await;
        page.fill("rounds", "250").await;
        page.fill("How many are done done", &LARGE.to_string()).await;
        page.until(&format!("{JSON}.includes('\"rounds\": 250') && {JSON}.includes('\"done\": {LARGE}')")).await;
        for (wrong, message) in [
            ("many", "This must be a number."),
            ("2.5", "This must be a whole number."),
            ("-1", "This must be 0 or more."),
        ] {
            page.fill("rounds", wrong).await;
            page.button("Dispatch").await;
            let found = "document.querySelector('input:invalid')?.validationMessage";
            page.until(&format!("{found} === {message:?}")).await;
        }
        page.fill("State as JSON", "{").await;
        page.until_text("This is not JSON").await;
        page.fill("State as JSON", &format!(r#"{{"rounds": 300, "value": {LARGE}, "more": [1]}}"#)).await;
        let shown = |value: &str| {
            format!("[...document.querySelectorAll('.form-field input')].some((input) => input.value === '{value}')")
        };
        page.until(&format!("{} && {}", shown("300"), shown(&LARGE.to_string()))).await;
        // What the form has no field for stays.
        page.fill("rounds", "301").await;
        page.until(&format!("JSON.stringify(JSON.parse({JSON}).more) === '[1]'")).await;
        page.choose("Priority", "high").await;
        page.fill("Attempts", "7").await;
        page.button("Dispatch").await;
        let id = job_id(page).await;
        page.until_state("completed").await;
        let status = place.status(&id);
        assert_eq!((&status["priority"], &status["attempts"]), (&"high".into(), &7.into()));
        assert_eq!(status["report"]["items"], 301);
        let state = sent(page, &id).await;
        assert!(state.contains(&LARGE.to_string()), "{state}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_job_that_nobody_describes_has_the_form_of_the_one_before_it() {
    let place = Place::empty();
    let manifest = json!({
        "id": "plain", "name": "Plain", "version": "1", "description": "", "author": "", "wasm_file": "module.wasm",
        "permissions": { "max_memory_mb": 1 },
    });
    let module = r#"(module (memory (export "memory") 1)
        (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
        (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#;
    let folder = place.extension(&manifest, module);
    place.ok(&["extension", "add", &folder.display().to_string()]);
    let server = place.serve();
    browse(async |page| {
        page.open(&format!("{}#/dispatch?job=plain:go", server.url)).await;
        page.until_text("Nobody has said what the state of this job looks like").await;
        page.button("Dispatch").await;
        page.until_state("completed").await;
        place.dispatch(
            "plain:go",
            &json!({ "name": "a", "large": LARGE, "deep": { "on": true, "list": ["x", "y"] } }),
        );
        page.open(&format!("{}#/dispatch?job=plain:go", server.url)).await;
        page.reload().await;
        page.until_text("As the newest job of this name was dispatched.").await;
        page.fill("name", "b").await;
        page.fill("list 2", "z").await;
        page.button("Add").await;
        page.press("w").await;
        page.control("on").await.click().await.unwrap();
        page.until(&format!("{JSON}.includes('\"name\": \"b\"')")).await;
        page.button("Dispatch").await;
        page.until_state("completed").await;
        let state: String = sent(page, &job_id(page).await).await.split_whitespace().collect();
        let expected =
            format!(r#"{{"name":"b","large":{LARGE},"deep":{{"on":false,"list":["x","z","w"]}}}}"#);
        assert!(state.contains(&expected), "{state}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn what_the_server_refuses_is_said_at_the_form() {
    let place = Place::new();
    let server = place.serve();
    browse(async |page| {
        page.open(&format!("{}#/dispatch?job=test-extension:counter", server.url)).await;
        page.until("document.getElementById('raw')").await;
        place.ok(&["extension", "remove", "test-extension"]);
        page.button("Dispatch").await;
        page.until("document.querySelector('form [role=alert]')?.innerText.includes('test-extension')").await;
        page.open(&format!("{}#/jobs/00000000-0000-4000-8000-000000000000", server.url)).await;
        page.until("document.querySelector('[role=alert].problem')?.innerText.includes('00000000-0000')")
            .await;
    })
    .await;
}
