use std::sync::Arc;

use lentil_runtime::{Application, Result, Runtime, SystemModule};

use crate::cli::Cli;
use crate::cron_table::OpenCrons;
use crate::crons::{CronError, Crons};
use crate::environment::Environment;
use crate::files::Sweep;
use crate::frontend::Frontend;
use crate::scheduler::{self, Scheduler};
use crate::sessions::Sessions;

/// The system's modules for one application.
#[derive(Clone)]
pub struct System {
    crons: Arc<OpenCrons>,
}

impl System {
    /// Returns the modules of an application with these crons.
    ///
    /// # Errors
    /// When a cron is invalid, or its function is not registered.
    pub fn new(application: &Application, crons: Crons) -> Result<System, CronError> {
        let crons = Arc::new(crons.open(application)?);
        Ok(System { crons })
    }

    /// Returns the modules, which the runtime opens with the application.
    pub fn modules(&self) -> Vec<Arc<dyn SystemModule>> {
        vec![
            Arc::new(Cli),
            Arc::new(Environment),
            Arc::new(Frontend),
            Arc::new(Scheduler),
            Arc::clone(&self.crons) as Arc<dyn SystemModule>,
            Arc::new(Sessions),
            Arc::new(Sweep),
        ]
    }

    /// Makes the table of crons match the application. New crons are planned from `now_ms` on.
    ///
    /// The background work calls this when it starts. Tests have no background work, and call it
    /// themselves.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn declare_crons(&self, runtime: &Runtime, now_ms: f64) -> Result<()> {
        self.crons.declare(runtime, now_ms).await
    }

    /// Runs the scheduled functions and crons that are due, one after another, until none is due,
    /// and returns how many functions ran. For tests, which move time by hand.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_due(&self, runtime: &Runtime) -> Result<usize> {
        scheduler::replan(runtime).await?;
        let mut ran = 0;
        loop {
            self.crons.fire_due(runtime).await?;
            match scheduler::run_next(runtime).await? {
                0 => return Ok(ran),
                count => ran += count,
            }
        }
    }
}
