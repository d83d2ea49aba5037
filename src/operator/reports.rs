//! What is said about objects, in the words of all translators.

use crate::kube::calico::{Report, Severity};
use crate::kube::metallb::complaint::{Complaint, Severity as Grade};

pub fn of_complaint(complaint: &Complaint) -> Report {
    let severity = match complaint.severity {
        Grade::Error => Severity::Error,
        Grade::Warning => Severity::Warning,
    };
    let message = format!("{}; {}", complaint.message, complaint.remedy);
    Report { severity, object: complaint.object.to_string(), field: complaint.path.clone(), message }
}

/// Whether it is about addresses, and not about their announcement.
pub fn concerns_pools(complaint: &Complaint) -> bool {
    complaint.object.kind == "IPAddressPool" || complaint.path.starts_with("address-pools")
}
