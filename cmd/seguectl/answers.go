package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/artifact"
)

// answerTime is how long one answer may take, of a model that has to be loaded
// first too.
const answerTime = 2 * time.Minute

// answers lets a gateway or the program segue answer golden requests.
func (p *packing) answers(ctx context.Context, model string, open []artifact.Golden) ([]artifact.Golden, error) {
	if p.via == "" {
		return p.answersOfSegue(ctx, model, open)
	}
	at, err := url.Parse(p.via)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, usageError{fmt.Errorf("--via %s: want the model's URL, like http://localhost:8000/v2/models/mozart/versions/2", p.via)}
	}
	key := ""
	if p.viaKeyFile != "" {
		text, err := os.ReadFile(p.viaKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--via-key-file: %w", err)
		}
		key = strings.TrimSpace(string(text))
	}
	var answered []artifact.Golden
	for _, g := range open {
		if g.Outputs, err = infer(ctx, at.JoinPath("infer").String(), key, g.Inputs); err != nil {
			return nil, fmt.Errorf("golden request %q: %w", g.Name, err)
		}
		answered = append(answered, g)
	}
	return answered, nil
}

// infer asks a gateway.
func infer(ctx context.Context, at, key string, inputs []artifact.TensorData) ([]artifact.TensorData, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	body, err := json.Marshal(map[string]any{"inputs": inputs})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", configs.ErrUnreachable, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxGolden+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", configs.ErrUnreachable, err)
	}
	var answer struct {
		Outputs []artifact.TensorData `json:"outputs"`
		Error   string                `json:"error"`
	}
	err = json.Unmarshal(text, &answer)
	switch {
	case response.StatusCode != http.StatusOK && err == nil && answer.Error != "":
		return nil, fmt.Errorf("%s answers %s: %s", at, response.Status, oneLine(answer.Error))
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", at, response.Status)
	case len(text) > maxGolden:
		return nil, fmt.Errorf("%s answers more than the %d bytes allowed", at, maxGolden)
	case err != nil:
		return nil, fmt.Errorf("%s answers no inference response: %w", at, err)
	case len(answer.Outputs) == 0:
		return nil, fmt.Errorf("%s answers no outputs", at)
	}
	return answer.Outputs, nil
}

// answersOfSegue starts the program segue for the answers.
func (p *packing) answersOfSegue(ctx context.Context, model string, open []artifact.Golden) ([]artifact.Golden, error) {
	program, err := p.findSegue()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	questions, err := json.Marshal(map[string]any{"model_path": model, "goldens": open})
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	run := exec.CommandContext(ctx, program, "answer")
	run.Stdin, run.Stdout, run.Stderr = bytes.NewReader(questions), &stdout, &stderr
	if err := run.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if last := strings.LastIndexByte(said, '\n'); last >= 0 {
			said = said[last+1:]
		}
		return nil, fmt.Errorf("segue answer: %w: %s", err, oneLine(said))
	}
	var answered []artifact.Golden
	if err := json.Unmarshal(stdout.Bytes(), &answered); err != nil {
		return nil, fmt.Errorf("segue answer: %w", err)
	}
	return answered, nil
}

// findSegue looks for the program beside this one, then in the PATH.
func (p *packing) findSegue() (string, error) {
	if p.segue != "" {
		return p.segue, nil
	}
	if own, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(own), "segue")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	found, err := exec.LookPath("segue")
	if err != nil {
		return "", errors.New("nobody is there to answer golden requests: give --via URL of a gateway that serves the model, --segue PROGRAM, or the outputs in the files")
	}
	return found, nil
}
