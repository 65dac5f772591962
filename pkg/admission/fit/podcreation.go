package fit

import (
	"fmt"
	"strings"

	"github.com/indelible-ci/indelible/pkg/result"
)

// podNotStored begins what is added to the condition's message.
const podNotStored = "the Pod could not be stored"

// Rule "podcreation": where a TaskRun failed because its Pod was too large to be stored or sent, its condition says which
// parameters are large and how often its Task uses them. Tekton says "etcdserver: request is too large" or "Request entity
// too large: limit is 3145728", and of what it has no word (handlePodCreationError in Tekton 1.15, pkg/reconciler/taskrun/taskrun.go).
//
// It must be asked before the rules "references" and "embedded": it counts uses in the Task as it was put together.
func (o *object) explainPodCreation(stored []byte) (event string) {
	i := o.succeeded()
	if i < 0 || o.text("status", "conditions", i, "reason") != "PodCreationFailed" {
		return ""
	}
	p := path{"status", "conditions", i, "message"}
	message := o.text(p...)
	if !strings.Contains(message, "request is too large") && !strings.Contains(message, "equest entity too large") {
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

// podParts are the parameters that the Task of a status uses, and how often; beside them long scripts.
func (o *object) podParts() (list []part) {
	for _, r := range o.references("taskSpec") {
		n := 0
		o.eachText(path{"status", "taskSpec", "steps"}, func(_ path, text string) { n += strings.Count(text, r.value) })
		if n > 0 {
			list = append(list, part{what: fmt.Sprintf("parameter %.100q, %s, used %s", r.param, sizes(r.value), times(n)), stored: encodedLen(r.value), times: n})
		}
	}
	if len(list) > 0 {
		return list
	}
	for i := range o.list("status", "taskSpec", "steps") {
		script := o.text("status", "taskSpec", "steps", i, "script")
		list = append(list, part{what: fmt.Sprintf("the script of step %.100q, %s", o.text("status", "taskSpec", "steps", i, "name"), sizes(script)), stored: encodedLen(script)})
	}
	return list
}
