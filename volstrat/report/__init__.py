"""Pictures of a case, and the page that a meeting sees and the file keeps."""
