package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"kfactor/internal/settings"
)

const healthTimeout = 3 * time.Second

func (a *app) healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "healthcheck", Short: "Ask the server on the configured address whether it is alive",
		Long:    "Asks GET /healthz on the configured address. Containers, which have no curl, call it.",
		Example: "  kfactor healthcheck --addr 127.0.0.1:8080",
		Args:    noMore,
		RunE: a.do(func(ctx context.Context, _ []string) error {
			ctx, cancel := context.WithTimeout(ctx, healthTimeout)
			defer cancel()
			url := "http://" + settings.Reachable(a.settings.Addr) + "/healthz"
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			// The address is this machine's own; a proxy from the environment is not asked.
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			answer, err := client.Do(req)
			if err != nil {
				return fmt.Errorf("no server answers on %s; is `kfactor serve` running? (%w)", a.settings.Addr, err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("the server on %s is not well: %s", a.settings.Addr, answer.Status)
			}
			return nil
		}),
	}
}
