package image

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Push sends the only image of an archive to a registry, with the credentials that docker login or
// podman login keep. Insecure allows plain HTTP.
func Push(ctx context.Context, path, reference string, insecure bool) (digest string, err error) {
	image, err := Read(path)
	if err != nil {
		return "", err
	}
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	target, err := name.ParseReference(reference, options...)
	if err != nil {
		return "", fmt.Errorf("image reference %q: %w", reference, err)
	}
	if err := remote.Write(target, image, remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return "", fmt.Errorf("push %s: %w", target, err)
	}
	hash, err := image.Digest()
	if err != nil {
		return "", err
	}
	return target.Context().Digest(hash.String()).String(), nil
}
