// Package controller decides which run is next, and says what waits and why: it has the reflectors,
// the queue, and as many workers as an archiver.Archiver, which does the work, may have. backlog is
// about runs that waited when it started, of which many are read by pages; waiting has what waits
// and why, pause keeps it from a store that does not answer, deleted has runs that went before they
// were protected, leaving those whose time in the cluster ends.
package controller
