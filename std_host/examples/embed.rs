//! An application that runs the jobs of extensions: `cargo run -p std_host --example embed`, from the root of the repository.
//! Its jobs and what they leave are in `target/embed`, or in the folder that its argument names.

use std::{error::Error, path::Path, process::ExitCode};

use std_host::{
    Operations,
    manager::{Dispatch, Manager, ManagerConfig},
};

#[tokio::main]
async fn main() -> ExitCode {
    env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
    let data = std::env::args_os().nth(1).unwrap_or("target/embed".into());
    run(data.as_ref(), "test-extension".as_ref()).await.map_or_else(
        |error| {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        },
        |done| {
            println!("{done}");
            ExitCode::SUCCESS
        },
    )
}

/// Runs a job of the extension in that folder to its end, with an operation of this application's own.
pub(crate) async fn run(data: &Path, extension: &Path) -> Result<String, Box<dyn Error>> {
    let mut operations = Operations::built_in();
    operations.register("query:greet", |_call, name: String| Ok::<_, String>(format!("Hello, {name}")))?;
    let manager = Manager::open(ManagerConfig { operations, ..ManagerConfig::new(data) })?;
    manager.add_extension(extension)?;
    let mut events = manager.events();
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            log::info!("job {}: {:?}", event.job_id, event.kind);
        }
    });
    let dispatch = Dispatch { state: br#"{"target": 10}"#.to_vec(), ..Dispatch::default() };
    let job = manager.dispatch("test-extension:counter", dispatch).await?;
    Ok(format!("{} after {} items", job.wait().await.state, job.status().report.items))
}
