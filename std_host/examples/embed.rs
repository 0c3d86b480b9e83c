//! An application that runs the jobs of extensions: `cargo run -p std_host --example embed`, from the root of the repository.

use std_host::{
    Operations,
    manager::{Dispatch, Manager, ManagerConfig},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    let mut operations = Operations::built_in();
    operations.register("query:greet", |_call, name: String| Ok::<_, String>(format!("Hello, {name}")))?;
    let data = std::env::temp_dir().join("toehold-embed");
    let manager = Manager::open(ManagerConfig { operations, ..ManagerConfig::new(data) })?;
    manager.add_extension("test-extension".as_ref())?;
    let mut events = manager.events();
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            log::info!("job {}: {:?}", event.job_id, event.kind);
        }
    });
    let state = br#"{"target": 10}"#.to_vec();
    let job = manager.dispatch("test-extension:counter", Dispatch { state, ..Dispatch::default() }).await?;
    println!("{} after {} items", job.wait().await.state, job.status().report.items);
    Ok(())
}
