//! The example of an application, run.

use crate::support::root;

#[path = "../../examples/embed.rs"]
#[allow(dead_code)]
mod embed;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs_a_job_to_its_end() {
    let data = tempfile::tempdir().unwrap();
    let extension = root().join("test-extension");
    assert_eq!(embed::run(data.path(), &extension).await.unwrap(), "completed after 10 items");
    // It is there again, with what it had.
    assert_eq!(embed::run(data.path(), &extension).await.unwrap(), "completed after 10 items");
    let error = embed::run(data.path(), "nowhere".as_ref()).await.unwrap_err();
    assert!(error.to_string().starts_with("nowhere: No such file"), "{error}");
}
