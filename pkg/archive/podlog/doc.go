// Package podlog reads the logs of containers while they grow, so that they are there when the pod
// is not. A Follower has all streams of the process, and a file for each container, a Tail, that
// outlives the process. rotation decides whether the kubelet may have rotated lines away between
// two streams; stamp reads the timestamps by which one stream goes on where the other ended.
package podlog
