use serde_json::{Value, json};

use super::{Target, WriteError, Writer};
use crate::kube::metallb::status::PoolStatus;

impl Writer {
    /// Makes the status of an IPAddressPool say this, unless it does already.
    ///
    /// # Errors
    /// [`WriteError::NotFound`] where the pool, or the status of its kind, does not exist.
    pub async fn put_pool_status(&self, target: &Target, status: &PoolStatus) -> Result<(), WriteError> {
        let status = json!(status);
        let differs = |fresh: &Value| (fresh["status"] != status).then(|| json!({ "status": status }));
        self.update_status(target, differs).await.map(drop)
    }
}
