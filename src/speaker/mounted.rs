//! A configuration that is mounted from a ConfigMap: nobody can send a signal when its content changes, so its directory is watched.
//! A plain file is not: an operator edits it, tries it with a dry run, and reloads.

use super::{Handle, Reload};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// Follows the file of `speaker` as long as it runs, where it is a mounted one.
pub async fn follow(speaker: Handle) {
    let path = speaker.config_path().to_path_buf();
    // The kubelet swaps this link; watching the file itself sees one event and then nothing.
    let Some(directory) = path.parent().filter(|d| d.join("..data").is_symlink()) else { return };
    let changed = Arc::new(Notify::new());
    let _watcher = match watch(directory, Arc::clone(&changed)) {
        Ok(watcher) => watcher,
        Err(e) => return warn!(path = %path.display(), error = %e, "the configuration is not watched: reload it with SIGHUP"),
    };
    let mut seen = speaker.running().text.to_string();
    loop {
        changed.notified().await;
        tokio::time::sleep(DEBOUNCE).await;
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if text == seen {
            continue;
        }
        seen = text;
        info!(path = %path.display(), "the configuration changed");
        if let Err(e) = speaker.reload(Reload::default()).await {
            error!("{e}");
        }
    }
}

fn watch(directory: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| changed.notify_one())?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// The files of a mount change one after the other.
const DEBOUNCE: Duration = Duration::from_millis(500);
