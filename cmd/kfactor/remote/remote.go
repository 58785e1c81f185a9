// Package remote speaks to a kfactor server over HTTP, as any client with a key does. Its methods for campaigns are
// those of the engine, so that a command works on a database and on a server alike; what a server refuses comes back
// in the same words.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kfactor/engine"
	"kfactor/internal/fault"
)

const (
	yamlType = "application/yaml"
	jsonType = "application/json"

	mostAnswer = 16 << 20 // bytes of an answer that are read
	mostTries  = 5        // of a call that the server puts off
	longestGap = 5 * time.Second
)

// Server is a server and a key to it.
type Server struct {
	url  string
	key  string
	http *http.Client
}

// New is the server at an address such as https://fans.example.com. A nil client has a minute for each call.
func New(address, key string, client *http.Client) (*Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "%q is not a server's address; write one like https://fans.example.com", address)
	}
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	return &Server{strings.TrimRight(address, "/"), key, client}, nil
}

// CreateCampaign stores a definition as a new draft.
func (s *Server) CreateCampaign(ctx context.Context, source []byte, filename, _ string) (v engine.CampaignView, err error) {
	return v, s.Do(ctx, http.MethodPost, "/v1/campaigns", definitionType(filename), source, &v)
}

// ReviseCampaign stores a definition as a new revision.
func (s *Server) ReviseCampaign(ctx context.Context, id string, source []byte, filename, _ string) (v engine.CampaignView, err error) {
	return v, s.Do(ctx, http.MethodPut, "/v1/campaigns/"+url.PathEscape(id), definitionType(filename), source, &v)
}

// PlanCampaign says what applying a definition would change.
func (s *Server) PlanCampaign(ctx context.Context, source []byte, filename string) (p engine.Plan, err error) {
	return p, s.Do(ctx, http.MethodPost, "/v1/campaigns/plan", definitionType(filename), source, &p)
}

// Campaign is a campaign as it stands.
func (s *Server) Campaign(ctx context.Context, id string) (v engine.CampaignView, err error) {
	return v, s.Get(ctx, "/v1/campaigns/"+url.PathEscape(id), &v)
}

// Turn moves a campaign through its life.
func (s *Server) Turn(ctx context.Context, id, verb, _ string) (v engine.CampaignView, err error) {
	return v, s.Do(ctx, http.MethodPost, "/v1/campaigns/"+url.PathEscape(id)+"/"+verb, "", nil, &v)
}

// PutAsset stores a file that the definition names.
func (s *Server) PutAsset(ctx context.Context, id, name string, body []byte) (v engine.AssetView, err error) {
	path := "/v1/campaigns/" + url.PathEscape(id) + "/assets/" + url.PathEscape(name)
	return v, s.Do(ctx, http.MethodPut, path, "application/octet-stream", body, &v)
}

func definitionType(filename string) string {
	if strings.HasSuffix(strings.ToLower(filename), ".json") {
		return jsonType
	}
	return yamlType
}

// Get reads the answer at path into answer.
func (s *Server) Get(ctx context.Context, path string, answer any) error {
	return s.Do(ctx, http.MethodGet, path, "", nil, answer)
}

// Post sends v as JSON and reads the answer into answer, which may be nil.
func (s *Server) Post(ctx context.Context, path string, v, answer any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Do(ctx, http.MethodPost, path, jsonType, body, answer)
}

// Do makes one call. A server that says "not now" is asked again after the time it names. Nothing that was done is
// done twice by that: such an answer is given before anything is.
func (s *Server) Do(ctx context.Context, method, path, contentType string, body []byte, answer any) error {
	for try := 1; ; try++ {
		err := s.once(ctx, method, path, contentType, body, answer)
		off, putOff := errors.AsType[putOffError](err)
		if !putOff || try == mostTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(off.wait):
		}
	}
}

// putOffError is a refusal that names when to come again.
type putOffError struct {
	error
	wait time.Duration
}

func (e putOffError) Unwrap() error { return e.error }

func (s *Server) once(ctx context.Context, method, path, contentType string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	got, err := s.http.Do(req)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the server %s does not answer: %v", s.url, errors.Unwrap(err))
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, mostAnswer))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the server's answer broke off: %v", err)
	}
	if got.StatusCode >= 300 {
		return refusal(got, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s answers %s with something else than JSON; is it a kfactor server? (%w)", s.url, path, err)
	}
	return nil
}

// kinds are the statuses of a server in our own words.
var kinds = map[int]fault.Kind{
	http.StatusBadRequest: fault.Invalid, http.StatusUnprocessableEntity: fault.Invalid,
	http.StatusNotFound: fault.NotFound, http.StatusConflict: fault.Conflict,
	http.StatusUnauthorized: fault.Unauthorized, http.StatusForbidden: fault.Forbidden,
	http.StatusRequestEntityTooLarge: fault.TooLarge, http.StatusUnsupportedMediaType: fault.Unsupported,
	http.StatusTooManyRequests: fault.Limited, http.StatusServiceUnavailable: fault.Unavailable,
}

// refusal is an answer that is not what was asked for: problem details where the server sent them.
func refusal(got *http.Response, text []byte) error {
	var problem struct {
		Title, Detail string
		Errors        []fault.Field
	}
	form, _, _ := mime.ParseMediaType(got.Header.Get("Content-Type"))
	kind, known := kinds[got.StatusCode]
	if !known {
		kind = fault.Internal
	}
	said := fault.New(kind, "the server answers %s", got.Status)
	if form == "application/problem+json" && json.Unmarshal(text, &problem) == nil {
		said = fault.New(kind, "%s (the server answers %s)", problem.Detail, got.Status)
		said.Fields = problem.Errors
	}
	if kind == fault.Unauthorized {
		said.Message += "; set KFACTOR_KEY to a key that `kfactor key create` printed"
	}
	if got.StatusCode != http.StatusServiceUnavailable && got.StatusCode != http.StatusTooManyRequests {
		return said
	}
	wait := time.Second
	if told, err := time.ParseDuration(got.Header.Get("Retry-After") + "s"); err == nil && told >= 0 {
		wait = min(told, longestGap)
	}
	return putOffError{said, wait}
}
