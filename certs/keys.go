package certs

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// keyOf returns a key: the secret segment of a webhook's path that identifies the calling API
// server. It is derived from a CA's private key and the path, so it is rotated with that CA and
// needs no space in the Secret. Each path has its own key: one reveals nothing about another.
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

// keysOf returns the valid keys, the one to write into webhook configurations first: those of the
// signing CA and of its successor. The successor's key is written after a quarter of the overlap,
// when every replica accepts it; replicas accept the old one until the overlap ends.
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

// switchesAt is when configurations get the successor's keys; zero if unknown.
func (c content) switchesAt(overlap time.Duration) time.Time {
	if !c.next.exists() || c.nextPublished.IsZero() {
		return time.Time{}
	}
	return c.nextPublished.Add(overlap / 4)
}
