package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/segue-serving/segue/configs"
)

// explain gives an error of Consul's client the kind on which callers branch
// and says what was tried. A context that the caller ended stays its own error.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	var status api.StatusError
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &status) && forbidden(status):
		return fmt.Errorf("%s: %w: %s", doing, configs.ErrForbidden, status.Body)
	case errors.As(err, &status) && (status.Code == http.StatusTooManyRequests || status.Code >= 500):
		return fmt.Errorf("%s: %w: status %d: %s", doing, configs.ErrUnreachable, status.Code, status.Body)
	case errors.As(err, &status):
		return fmt.Errorf("%s: status %d: %s", doing, status.Code, status.Body)
	}
	// All else is of the network: refused, reset, timed out, cut short.
	return fmt.Errorf("%s: %w: %w", doing, configs.ErrUnreachable, err)
}

// forbidden reports a refusal of the token. Consul answers 403 for most; what
// a server says through an agent can arrive as 500.
func forbidden(status api.StatusError) bool {
	return status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized ||
		(status.Code == http.StatusInternalServerError && deniedText(status.Body))
}

func deniedText(text string) bool {
	return strings.Contains(text, "Permission denied") || strings.Contains(text, "ACL not found")
}

// isForbidden is forbidden for any error.
func isForbidden(err error) bool {
	var status api.StatusError
	return errors.Is(err, configs.ErrForbidden) || (errors.As(err, &status) && forbidden(status))
}

// isNoLeader reports that a consistent read is impossible for now though
// something answers.
func isNoLeader(err error) bool {
	return errors.Is(err, errNoLeader) || strings.Contains(err.Error(), "No cluster leader")
}
