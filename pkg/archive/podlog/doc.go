// Package podlog reads the logs of containers while they are written, so that they outlive the pod.
//
//	follower.go    Follower has all streams of the process and their limits
//	spool.go       a file per container, which outlives the process: whose it is, and until when it
//	               is kept
//	tail.go        Tail reads one container's log into its file, by one stream after another
//	ended.go       what is done with a log whose stream has ended: its rest is read, it is archived
//	copy.go        appends the lines of a stream that the file does not have yet
//	position.go    where in the log the file ends
//	timestamps.go  the timestamps of lines, by which a stream continues where the last one ended
//	clock.go       reads a log once more if the node's clock was set back meanwhile
//	rotation.go    whether the kubelet may have rotated lines away between two streams
//	silence.go     ends a stream that stays silent: one that reads a rotated file, or whose kubelet
//	               hangs
package podlog
