// Package observed watches the cluster without keeping a copy of it: Run and Event are what a watch
// shows, reduced to what decides; a Reflector lists and watches one resource and tells; Events
// holds the events of runs and pods until their run is archived. Names and sizes in what is
// observed are other people's: see what bounds them at Events.
package observed
