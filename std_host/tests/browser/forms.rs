//! Forms that are made of the schemas of states.

use serde_json::{Value, json};

use crate::{
    browser::{Page, browse},
    journey::job_id,
    place::Place,
};

const MODULE: &str = r#"(module (memory (export "memory") 1)
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
    (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#;

/// The state as it would be sent.
async fn raw(page: &Page) -> Value {
    let text = page.js("document.getElementById('raw').value").await;
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// What is wrong with the control of this label, in the browser's words for it.
async fn wrong(page: &Page, name: &str) -> String {
    let label = format!(
        "[...document.querySelectorAll('label')].find((one) => one.querySelector('code')?.textContent === '{name}')"
    );
    let message = page.js(&format!("{label}.control.validationMessage")).await;
    message.as_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_form_knows_references_variants_and_steps() {
    let place = Place::empty();
    let source = json!({ "oneOf": [
        { "title": "A folder", "type": "object", "required": ["kind", "path"],
          "properties": { "kind": { "const": "folder" }, "path": { "type": "string", "default": "in" } } },
        { "title": "A page", "type": "object", "required": ["kind", "url"],
          "properties": { "kind": { "const": "page" }, "url": { "type": "string", "default": "https://a" } } },
    ] });
    let schema = json!({
        "type": "object",
        "required": ["source"],
        "$defs": {
            "size": { "title": "Size", "type": "integer", "multipleOf": 5, "minimum": 0, "default": 10 },
            "source": source,
        },
        "properties": {
            "size": { "$ref": "#/$defs/size" },
            "ratio": { "title": "Ratio", "type": "number", "multipleOf": 0.1 },
            "source": { "title": "Source", "$ref": "#/$defs/source" },
            "mode": { "title": "Mode", "oneOf": [{ "const": "fast", "title": "As fast as it goes" }, { "const": "slow" }] },
            "limit": { "title": "Limit", "oneOf": [{ "type": "null" }, { "$ref": "#/$defs/size" }] },
        },
    });
    let manifest = json!({
        "id": "shapes", "name": "Shapes", "version": "1", "description": "", "author": "", "wasm_file": "module.wasm",
        "permissions": { "methods": [], "max_memory_mb": 1 }, "state_schemas": { "go": schema },
    });
    place.ok(&["extension", "add", place.extension(&manifest, MODULE).to_str().unwrap()]);
    let server = place.serve();
    browse(async |page| {
        page.open(&format!("{}#/dispatch?job=shapes:go", server.url)).await;
        page.until("document.querySelector('.form-members')").await;
        let folder = json!({ "kind": "folder", "path": "in" });
        assert_eq!(raw(page).await, json!({ "size": 10, "source": folder, "limit": 10 }));
        assert!(page.text().await.contains("A multiple of 5."), "{}", page.text().await);

        page.choose("Kind", "1").await;
        assert_eq!(raw(page).await["source"], json!({ "kind": "page", "url": "https://a" }));
        page.choose("mode", "0").await;
        assert_eq!(raw(page).await["mode"], "fast");
        page.fill("size", "7").await;
        assert_eq!(wrong(page, "size").await, "This must be a multiple of 5.");
        page.fill("size", "9007199254740995").await;
        assert_eq!(wrong(page, "size").await, "");
        page.fill("ratio", "0.3").await;
        assert_eq!(wrong(page, "ratio").await, "", "a tenth is no number of a computer's");
        page.fill("ratio", "0.35").await;
        assert_eq!(wrong(page, "ratio").await, "This must be a multiple of 0.1.");

        // What is written as JSON shows in the form, in the variant that it is.
        let state = json!({ "source": { "kind": "folder", "path": "photos" }, "limit": null });
        page.fill("State as JSON", &state.to_string()).await;
        assert_eq!(page.control("Kind").await.prop("value").await.unwrap().as_deref(), Some("0"));
        assert_eq!(page.control("path").await.prop("value").await.unwrap().as_deref(), Some("photos"));
        page.button("Dispatch").await;
        page.until("location.hash.startsWith('#/jobs/')").await;
        let id = job_id(page).await;
        page.until_state("completed").await;
        assert_eq!(place.status(&id)["state"], "completed");
        assert_eq!(page.complaints().await, Vec::<String>::new());
    })
    .await;
}
