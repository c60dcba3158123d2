package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"
)

// client is Consul's own client, and beside it the one call for which that is
// too coarse: it hides the status of a failed transaction and whether a read
// was filtered.
type client struct {
	*api.Client
	resolved api.Config
	token    *tokenFile // nil without CONSUL_HTTP_TOKEN_FILE
}

// newClient reads Consul's environment; a host takes the place of its address.
func newClient(host string) (*client, error) {
	cfg := api.DefaultConfig()
	if host != "" {
		cfg.Address = host
	}
	inner, err := api.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	// NewClient has put into cfg what it resolved, its HTTP client too.
	c := &client{Client: inner, resolved: *cfg}
	if cfg.TokenFile != "" {
		c.token = &tokenFile{path: cfg.TokenFile}
		if _, err := c.token.read(); err != nil {
			return nil, fmt.Errorf("token file: %w", err)
		}
		cfg.HttpClient.Transport = &tokenTransport{next: cfg.HttpClient.Transport, token: c.token}
	}
	return c, nil
}

// consistency is how a read may be answered.
type consistency string

const (
	consistent consistency = "consistent"
	stale      consistency = "stale"
)

// txnAnswer is Consul's answer to a transaction.
type txnAnswer struct {
	Results []struct{ KV *api.KVPair }
	Errors  api.TxnErrors
	// ResultsFilteredByACLs and KnownLeader are set by read-only transactions.
	ResultsFilteredByACLs bool
	KnownLeader           bool
	// refused is set where Errors say why nothing was done.
	refused bool
}

// txn runs operations in one transaction. Its errors are of the same kinds as
// those of Consul's client: api.StatusError for an answer that is none.
func (c *client) txn(ctx context.Context, ops api.TxnOps, mode consistency) (txnAnswer, error) {
	body, err := json.Marshal(ops)
	if err != nil {
		return txnAnswer{}, fmt.Errorf("encode transaction: %w", err)
	}
	cfg := c.resolved
	query := url.Values{}
	if mode != "" {
		query.Set(string(mode), "")
	}
	if cfg.Namespace != "" {
		query.Set("ns", cfg.Namespace)
	}
	if cfg.Partition != "" {
		query.Set("partition", cfg.Partition)
	}
	at := url.URL{Scheme: cfg.Scheme, Host: cfg.Address, Path: cfg.PathPrefix + "/v1/txn", RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, at.String(), bytes.NewReader(body))
	if err != nil {
		return txnAnswer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	if cfg.Token != "" {
		request.Header.Set("X-Consul-Token", cfg.Token)
	}
	if cfg.HttpAuth != nil {
		request.SetBasicAuth(cfg.HttpAuth.Username, cfg.HttpAuth.Password)
	}
	response, err := cfg.HttpClient.Do(request)
	if err != nil {
		return txnAnswer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return txnAnswer{}, fmt.Errorf("read the transaction's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusConflict {
		return txnAnswer{}, api.StatusError{Code: response.StatusCode, Body: strings.TrimSpace(string(text))}
	}
	var answer txnAnswer
	if err := json.Unmarshal(text, &answer); err != nil {
		return txnAnswer{}, fmt.Errorf("decode the transaction's answer: %w", err)
	}
	answer.refused = response.StatusCode == http.StatusConflict
	return answer, nil
}

// ping asks the cheapest question there is: who leads. Consul answers it from
// memory, without a token.
func (c *client) ping(ctx context.Context) error {
	leader, err := c.Status().LeaderWithQueryOptions(new(api.QueryOptions).WithContext(ctx))
	if err == nil && leader == "" {
		return errNoLeader
	}
	return err
}
