// Package protect gives runs the archiver's finalizer when they are created, so that none is deleted before it is in the
// archive: not one that is deleted as soon as it exists, and not while the archiver is down.
//
// It decides from the run's metadata alone and never refuses one. A run that it could not be asked about, or could not read,
// is protected a moment later by the archiver. The finalizer holds runs for ever where nobody takes it away: the webhook
// configuration that calls this belongs to the archiver's installation (config/archive), and goes before the archiver does.
package protect
