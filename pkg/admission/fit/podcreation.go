package fit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// tooLarge are the API server's messages about an object over 1.5 MiB (etcd refuses it), 2 MiB
// (etcd's client does not send it) and 3 MiB (the API server does not read it).
var tooLarge = []string{"request is too large", "trying to send message larger than max", "equest entity too large"}

// podNotStored is the beginning of the text added to the condition's message.
const podNotStored = "the Pod could not be stored"

// Rule "podcreation": if a TaskRun failed because its Pod was too large to be stored or sent, its
// condition names the large parameters and how often its Task uses them. Tekton repeats the API
// server's message, which does not say what is large (handlePodCreationError in Tekton 1.15,
// pkg/reconciler/taskrun/taskrun.go).
//
// It must run before the rules "references" and "embedded": it counts uses in the Task with
// parameters substituted.
func (o *object) explainPodCreation(stored []byte) (event string) {
	i := o.succeeded()
	if i < 0 || o.text("status", "conditions", i, "reason") != "PodCreationFailed" {
		return ""
	}
	p := path{"status", "conditions", i, "message"}
	message := o.text(p...)
	if !slices.ContainsFunc(tooLarge, func(words string) bool { return strings.Contains(message, words) }) {
		return ""
	}
	text := podNotStored + ", because etcd takes at most " + result.Size(etcdLimit).String() +
		" and scripts take four thirds of their size there" + largest(o.podParts()) + ". " + wayOut
	o.set(joined(message, text), p)
	if strings.Contains(storedMessage(stored), podNotStored) {
		return ""
	}
	return text
}

// podParts returns the parameters that the Task in the status uses, and how often; without any, its
// scripts.
func (o *object) podParts() (list []part) {
	for _, r := range o.references("taskSpec") {
		n := 0
		o.eachText(path{"status", "taskSpec", "steps"}, func(_ path, text string) { n += strings.Count(text, r.value) })
		if n > 0 {
			list = append(list,
				part{what: fmt.Sprintf("parameter %.100q, %s, used %s", r.param, sizes(r.value), times(n)),
					stored: encodedLen(r.value), times: n})
		}
	}
	if len(list) > 0 {
		return list
	}
	for i := range o.list("status", "taskSpec", "steps") {
		script := o.text("status", "taskSpec", "steps", i, "script")
		list = append(list,
			part{what: fmt.Sprintf("the script of step %.100q, %s", o.text("status", "taskSpec", "steps", i,
				"name"), sizes(script)), stored: encodedLen(script)})
	}
	return list
}
