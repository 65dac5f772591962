package main

import (
	"context"
	"net"
)

// freePorts returns unused addresses of this machine.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var all []string
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		all = append(all, listener.Addr().String())
	}
	return all, nil
}
