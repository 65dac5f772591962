package certs

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// A key is the secret segment of a webhook's path by which the webhook knows the API server that calls it. It is
// derived from a CA's private key and the path, so it lives and is rotated with that CA, and the Secret holds
// nothing more. There is one for each path: knowing one of them says nothing of another.
func keyOf(ca pair, path string) (string, error) {
	secret, err := ca.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("reading the key of a CA: %w", err)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "indelible.dev/caller-key "+path, 20)
	if err != nil {
		return "", fmt.Errorf("deriving a key: %w", err)
	}
	return hex.EncodeToString(key), nil
}

// keysOf returns the key that belongs into webhook configurations, and then the others that count: those of the
// CA that signs and of its successor. The successor's is written after a quarter of the overlap: by then every
// replica accepts it, and for the rest of the overlap they go on accepting the one before.
func (c content) keysOf(path string, now time.Time, overlap time.Duration) ([]string, error) {
	signer, err := keyOf(c.signer, path)
	if err != nil || !c.next.exists() {
		return []string{signer}, err
	}
	next, err := keyOf(c.next, path)
	if err != nil {
		return nil, err
	}
	if at := c.switchesAt(overlap); !at.IsZero() && !now.Before(at) {
		return []string{next, signer}, nil
	}
	return []string{signer, next}, nil
}

// switchesAt is when configurations get the successor's keys, zero while that is not known.
func (c content) switchesAt(overlap time.Duration) time.Time {
	if !c.next.exists() || c.nextPublished.IsZero() {
		return time.Time{}
	}
	return c.nextPublished.Add(overlap / 4)
}
