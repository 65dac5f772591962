// Package protect adds the archiver's finalizer to runs at their creation, so that no run is
// deleted before it is archived, not even one deleted right after its creation or while the
// archiver is down.
//
// It decides from the run's metadata alone and never refuses one. If it cannot be called, or cannot
// read the run, the archiver adds the finalizer a moment later. Nothing removes the finalizer
// without the archiver: the webhook configuration belongs to the archiver's installation
// (config/archive) and must be removed before the archiver.
package protect
