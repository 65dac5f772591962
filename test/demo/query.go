package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/test/harness"
)

// query asks the API that Tekton Results' clients speak about the deleted TaskRun, with the token
// of a service account that may view the namespace, and nothing else.
func query(ctx context.Context, out io.Writer, cluster *harness.Cluster) error {
	fmt.Fprintf(out, "\nThe same by the API of Tekton Results, as a service account with the role view in %s:\n\n",
		namespace)
	token, err := viewer(ctx, cluster)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	address, err := forward(ctx, cluster)
	if err != nil {
		return err
	}
	ask := url.Values{
		"filter":   {fmt.Sprintf("data_type == TASK_RUN && data.metadata.name == %q", deleted)},
		"order_by": {"create_time desc"}, "page_size": {"5"},
	}
	path := "/apis/results.tekton.dev/v1alpha2/parents/" + namespace + "/results/-/records?" + ask.Encode()
	var found struct {
		Records []struct {
			Name string
			Data struct{ Value []byte }
		}
	}
	text, err := get(ctx, address+path, token)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &found); err != nil || len(found.Records) == 0 {
		return errors.Join(fmt.Errorf("the API has no record of %s", deleted), err)
	}
	record := found.Records[0]
	log, err := get(ctx, address+"/apis/results.tekton.dev/v1alpha2/parents/"+strings.Replace(record.Name, "/records/",
		"/logs/", 1), token)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  GET …/parents/%s/results/-/records?filter=%s\n", namespace, ask["filter"][0])
	fmt.Fprintf(out, "    %s: a record of %d bytes, and a log of %d\n", record.Name, len(record.Data.Value), len(log))
	if _, err := get(ctx, address+strings.Replace(path, namespace, "kube-system", 1), token); err == nil {
		return errors.New("the API lists another namespace's runs to somebody who may not")
	} else {
		fmt.Fprintf(out, "  GET …/parents/kube-system/results/-/records\n    %v\n\n", err)
	}
	return nil
}

// viewer returns the token of a service account with the role view in the demo's namespace.
func viewer(ctx context.Context, cluster *harness.Cluster) (string, error) {
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "viewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: namespace}},
	}
	_, err := cluster.Kube.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("binding the role view: %w", err)
	}
	request := &authenticationv1.TokenRequest{}
	answer, err := cluster.Kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "default", request,
		metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	return answer.Status.Token, nil
}

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// forward forwards a port of this machine to the API until ctx ends, and returns its URL.
func forward(ctx context.Context, cluster *harness.Cluster) (string, error) {
	cmd := cluster.KubectlCommand(ctx, "port-forward", "-n", "indelible-system", "service/indelible-api", ":8080")
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", fmt.Errorf("forwarding a port to the API: %w", err)
	}
	go func() {
		<-ctx.Done()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if match := forwarding.FindStringSubmatch(lines.Text()); match != nil {
			return "http://" + match[1], nil
		}
	}
	return "", errors.Join(errors.New("forwarding a port to the API: kubectl ended"), lines.Err())
}

// get returns what a path answers. An error has the API's own words.
func get(ctx context.Context, address, token string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		var said struct{ Message string }
		_ = json.Unmarshal(text, &said)
		return nil, fmt.Errorf("%s: %s", answer.Status, said.Message)
	}
	return text, nil
}
