package tekton

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Manifests are Tekton's own, in the order of applying: what others refer to comes first.
type Manifests struct {
	Namespaces, Definitions, Rest string
}

// skipped are files that need what this cluster does not have. The autoscaler needs a metrics
// server, and would fill the event log.
var skipped = map[string]bool{"webhook-hpa.yaml": true}

// Load reads the manifests of a release and names the images that Build made.
func (b *Built) Load() (Manifests, error) {
	var result Manifests
	root := filepath.Join(b.Source, "config")
	files := os.DirFS(root)
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" || skipped[entry.Name()] {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		for _, document := range documents(rewrite(string(content), b.Version)) {
			result.add(document)
		}
		return nil
	})
	if err != nil {
		return Manifests{}, fmt.Errorf("read Tekton's manifests: %w", err)
	}
	return result, result.check(b.Version)
}

// check refuses what would fail later as a pod that waits for an image: one that Build did not
// make, as another release of Tekton might name, and one that was not filled in.
func (m Manifests) check(version string) error {
	if m.Namespaces == "" || m.Definitions == "" || m.Rest == "" {
		return errors.New("the manifests of Tekton lack namespaces, definitions or deployments")
	}
	if left := unfilled.FindString(m.Rest); left != "" {
		return fmt.Errorf("the manifests of Tekton name the image %s, which this tool does not fill in", left)
	}
	built := map[string]bool{}
	for _, command := range commands {
		built[imageName(command, version)] = true
	}
	for _, name := range ownImage.FindAllString(m.Rest, -1) {
		if !built[name] {
			return fmt.Errorf("the manifests of Tekton name the image %s, which this tool does not build", name)
		}
	}
	return nil
}

var (
	kindLine  = regexp.MustCompile(`(?m)^kind:\s*(\S+)`)
	separator = regexp.MustCompile(`(?m)^---\s*$`)
)

func documents(content string) []string {
	var result []string
	for _, document := range separator.Split(content, -1) {
		if kindLine.MatchString(document) {
			result = append(result, strings.TrimSpace(document))
		}
	}
	return result
}

func (m *Manifests) add(document string) {
	part := &m.Rest
	switch kindLine.FindStringSubmatch(document)[1] {
	case "Namespace":
		part = &m.Namespaces
	case "CustomResourceDefinition":
		part = &m.Definitions
	}
	*part += document + "\n---\n"
}

var (
	koReference = regexp.MustCompile(`ko://` + regexp.QuoteMeta(modulePath) + `/cmd/([a-z]+)`)
	ownImage    = regexp.MustCompile(`tekton\.local/[^"\s]+`)
	unfilled    = regexp.MustCompile(`ko://[^"\s]+`)
	shellImage  = regexp.MustCompile(`("-shell-image",\s*)"[^"]+"`)
)

// rewrite does what Tekton's release pipeline does to these files: it fills in the images and the
// version. Images have a tag other than latest, so the default pull policy is IfNotPresent and
// nothing is pulled.
func rewrite(content, version string) string {
	content = koReference.ReplaceAllStringFunc(content, func(reference string) string {
		return imageName(koReference.FindStringSubmatch(reference)[1], version)
	})
	content = shellImage.ReplaceAllString(content, `${1}"`+ShellImage+`"`)
	return strings.ReplaceAll(content, `"devel"`, `"v`+version+`"`)
}
