//! Extensions: dropped, replaced, loaded anew and removed.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{
    browser::browse,
    place::{Place, test_extension},
};

/// Drops a file of these bytes where files are dropped.
const DROP: &str = "
    const [name, text, done] = arguments;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name));
    document.querySelector('.drop').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    done();";

#[tokio::test]
#[ignore = "needs a browser: `cargo xtask test browser` runs it"]
async fn a_package_is_dropped_replaced_and_removed() {
    let place = Place::empty();
    let server = place.serve();
    let made = place.folder().join("made");
    fs::create_dir(&made).unwrap();
    for name in ["manifest.json", "test_extension.wasm"] {
        fs::copy(test_extension().join(name), made.join(name)).unwrap();
    }
    let package = place.folder().join("a.toehold");
    let (from, to) = (made.display().to_string(), package.display().to_string());
    place.ok(&["extension", "pack", &from, "-o", &to]);
    browse(async |page| {
        let drop = async |name: &str, bytes: &[u8]| {
            page.script(DROP, vec![json!(name), json!(BASE64_STANDARD.encode(bytes))]).await;
        };
        page.open(&format!("{}#/extensions", server.url)).await;
        page.until_text("No extension is installed yet.").await;
        drop("notes.toehold", b"no package").await;
        page.until("document.querySelector('.problem')").await;
        drop("manifest.json", b"{}").await;
        page.until_text("These files are no extension: manifest.json.").await;
        drop("a.toehold", &fs::read(&package).unwrap()).await;
        page.until_text("Nobody has signed it.").await;
        page.button("Not now").await;
        assert!(page.text().await.contains("No extension is installed yet."));
        drop("a.toehold", &fs::read(&package).unwrap()).await;
        page.button("Install").await;
        page.until_text("Test Extension 0.1.0 is installed.").await;

        // Another version, which wants more.
        let mut manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(made.join("manifest.json")).unwrap()).unwrap();
        manifest["version"] = "0.2.0".into();
        manifest["permissions"]["network_access"] = json!(["api.example.com"]);
        fs::write(made.join("manifest.json"), manifest.to_string()).unwrap();
        page.give_files("input[type=file]", &[made.join("manifest.json"), made.join("test_extension.wasm")]).await;
        page.until("[...document.querySelectorAll('.permissions li')].some((li) => li.innerText.includes('api.example.com') && li.innerText.includes('new'))").await;
        page.until("document.querySelector('.changes').innerText.includes('0.1.0') && document.querySelector('.changes').innerText.includes('0.2.0')").await;
        page.button("Replace version 0.1.0").await;
        page.until_text("Test Extension 0.2.0 is installed.").await;

        page.link("Test Extension").await;
        page.until("document.querySelector('h1').textContent === 'Test Extension'").await;
        page.button("Reload").await;
        page.until("document.getElementById('announcer').textContent === 'The extension is loaded anew.'").await;
        let id = place.dispatch("test-extension:counter", &json!({ "target": 4_000_000_000_u64 }));
        page.button("Remove").await;
        page.button("Remove the extension").await;
        page.until("document.querySelector('.problem')?.innerText.includes('Cancel its jobs first')").await;
        place.ok(&["job", "cancel", &id]);
        page.button("Remove").await;
        page.button("Remove the extension").await;
        page.until_text("No extension is installed yet.").await;
    })
    .await;
}
