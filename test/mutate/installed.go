package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// forceLimit bounds the wait until the API server has seen a policy's change. It takes about a
// second.
const forceLimit = time.Minute

// inCluster returns a function that puts a policy into force on the cluster, in the place of the
// one installed. It returns when the API server goes by it. To see that, each policy but the
// original gets one validation more, which denies one name.
func (f policyFile) inCluster(temp string) func(*admissionregistrationv1.ValidatingAdmissionPolicy) error {
	path, last := filepath.Join(temp, f.name), ""
	return func(p *admissionregistrationv1.ValidatingAdmissionPolicy) error {
		original := len(p.Spec.Validations) == len(f.policy.Spec.Validations)
		name := fmt.Sprintf("indelible-mutant-%d", time.Now().UnixNano())
		if !original {
			p.Spec.Validations = append(p.Spec.Validations, admissionregistrationv1.Validation{
				Expression: "object.metadata.?name.orValue('') != '" + name + "'", Message: name + " is in force",
			})
			last = name
		}
		if err := writePolicy(path, p); err != nil {
			return err
		}
		if out, err := kubectl("apply", "-f", path); err != nil {
			return fmt.Errorf("apply %s: %w\n%s", f.name, err, out)
		}
		for end := time.Now().Add(forceLimit); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			if denied := isDenied(temp, last); denied != original {
				return nil
			}
		}
		return errors.New("the API server does not go by the changed " + f.name)
	}
}

// isDenied tries, as a dry run, to create a pod of that name, of a kind that the policies on pods
// look at.
func isDenied(temp, name string) bool {
	path := filepath.Join(temp, "probe.yaml")
	probe := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `","namespace":"default",
	  "ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"none","uid":"none"}]},
	  "spec":{"containers":[{"name":"none","image":"none"}]}}`
	if err := os.WriteFile(path, []byte(probe), 0o600); err != nil {
		return false
	}
	out, _ := kubectl("create", "--dry-run=server", "-f", path)
	return strings.Contains(out, name+" is in force")
}

func kubectl(args ...string) (string, error) {
	words := append(strings.Fields(cmp.Or(os.Getenv("KUBECTL"), "kubectl")), args...)
	//nolint:gosec // G702: whoever runs this says what kubectl is
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	return string(out), err
}
