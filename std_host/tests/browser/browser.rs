//! A browser, and what somebody does in it: finds things by their words, clicks, types, and waits until something shows.

use std::{env, panic::AssertUnwindSafe, time::Duration};

use axum::http::Method;
use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    wd::{TimeoutConfiguration, WebDriverCompatibleCommand},
};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};

/// How long a condition may take to come about. On a busy machine everything has to wait for its turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again with each picture of the screen until `expression` is something, and gives that.
const UNTIL: &str = "
    const [check, patience, done] = arguments;
    const start = Date.now();
    const look = () => {
        let found;
        try { found = eval_(); } catch (error) { found = null; check.error = String(error); }
        if (found) done({ found });
        else if (Date.now() - start > patience) done({ error: check.error ?? '', text: document.body.innerText });
        else setTimeout(look, 20);
    };
    const eval_ = () => (EXPRESSION);
    look();";

/// A tab of a browser.
pub(crate) struct Page {
    client: Client,
}

/// Runs `test` in a browser of its own, and closes that whatever comes.
pub(crate) async fn browse(test: impl AsyncFnOnce(&Page)) {
    let driver = env::var("TOEHOLD_BROWSER")
        .expect("`cargo xtask test browser` runs these tests: they need a browser");
    let mut capabilities = Map::new();
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ];
    capabilities.insert("goog:chromeOptions".into(), json!({ "args": arguments }));
    capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
    let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(capabilities)
        .connect(&driver)
        .await
        .expect("the driver starts a browser");
    let timeouts = TimeoutConfiguration::new(Some(PATIENCE * 2), Some(PATIENCE), Some(Duration::ZERO));
    client.update_timeouts(timeouts).await.unwrap();
    let page = Page { client };
    page.look(1_280, 900, "light").await;
    let ended = AssertUnwindSafe(test(&page)).catch_unwind().await;
    page.client.clone().close().await.unwrap();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

impl Page {
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    pub(crate) async fn back(&self) {
        self.client.back().await.unwrap();
    }

    /// Presses the button with these words.
    pub(crate) async fn button(&self, words: &str) {
        self.click("button", words).await;
    }

    /// Follows the link with these words.
    pub(crate) async fn link(&self, words: &str) {
        self.click("a", words).await;
    }

    async fn click(&self, kind: &str, words: &str) {
        // While a dialog is open, nothing else can be reached.
        let open = "[not(//dialog[@open]) or ancestor::dialog]";
        let path = format!("//{kind}[normalize-space()={words:?}][not(ancestor-or-self::*[@hidden])]{open}");
        self.find(Locator::XPath(&path), words).await.click().await.unwrap();
    }

    /// The control with this label.
    pub(crate) async fn control(&self, label: &str) -> Element {
        // A field of a form has its title and its name in its label: either will do.
        let path = format!("//*[@id=//label[normalize-space()={label:?} or code={label:?}]/@for]");
        self.find(Locator::XPath(&path), label).await
    }

    /// Types into the control with this label, in the place of what is there.
    pub(crate) async fn fill(&self, label: &str, text: &str) {
        let control = self.control(label).await;
        control.clear().await.unwrap();
        control.send_keys(text).await.unwrap();
    }

    /// Chooses what has this value.
    pub(crate) async fn choose(&self, label: &str, value: &str) {
        self.control(label).await.select_by_value(value).await.unwrap();
    }

    /// What fits, once it is there.
    async fn find(&self, locator: Locator<'_>, what: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).for_element(locator).await {
            Ok(element) => element,
            Err(error) => panic!("{what:?} is not there ({error}): {}", self.text().await),
        }
    }

    /// All words of the page.
    pub(crate) async fn text(&self) -> String {
        self.js("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// What a JavaScript expression comes to now.
    pub(crate) async fn js(&self, expression: &str) -> Value {
        self.client.execute(&format!("return ({expression});"), Vec::new()).await.unwrap()
    }

    /// Waits until a JavaScript expression comes to something that is true, and gives that.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let script = UNTIL.replace("EXPRESSION", expression);
        let patience = json!(PATIENCE.as_millis() as u64);
        let ended = self.client.execute_async(&script, vec![json!({}), patience]).await.unwrap();
        match ended.get("found") {
            Some(found) => found.clone(),
            None => panic!(
                "{expression} never came about: {} {}",
                ended["error"],
                ended["text"].as_str().unwrap_or_default()
            ),
        }
    }

    /// Waits until the page shows these words.
    pub(crate) async fn until_text(&self, words: &str) {
        self.until(&format!("document.body.innerText.includes({words:?})")).await;
    }

    /// Waits until a job's page shows this state.
    pub(crate) async fn until_state(&self, state: &str) {
        self.until(&format!("document.querySelector('.job-title .state')?.textContent === {state:?}")).await;
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// The words of what has the focus: its own, or those of its label.
    pub(crate) async fn focused(&self) -> String {
        let words = self
            .js("(({ activeElement: now }) => now.getAttribute('aria-label') ?? (now.labels?.[0] ?? now).textContent.trim())(document)")
            .await;
        words.as_str().unwrap_or_default().to_owned()
    }

    /// Gives files to the control with this id.
    pub(crate) async fn give_files(&self, selector: &str, paths: &[std::path::PathBuf]) {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        self.find(Locator::Css(selector), selector).await.send_keys(&names.join("\n")).await.unwrap();
    }

    /// The screen's size in CSS pixels, and `light` or `dark`.
    pub(crate) async fn look(&self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        // Nothing moves, so that what is measured and shown is where it stays.
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }, { "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// A command of Chromium's own.
    pub(crate) async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(DevTools(command, parameters)).await.unwrap()
    }

    /// A picture of what is to be seen, as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// Runs a script, and gives what it hands to its last argument.
    pub(crate) async fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute_async(script, arguments).await.unwrap()
    }

    /// What the browser complained of since it was asked last: errors of scripts, and what the policy kept out.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let logged = self.client.issue_cmd(BrowserLog).await.unwrap();
        let lines =
            logged.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap_or_default());
        // What the API refuses shows on the page, where it matters.
        lines.filter(|line| !line.contains("/api/v1/")).map(str::to_owned).collect()
    }
}

#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.0, "params": self.1 }).to_string()))
    }
}

#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
