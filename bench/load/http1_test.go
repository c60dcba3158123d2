package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// readIn reads an answer in pieces of a size, and its end where the text has
// been read. It returns what was left over.
func readIn(text string, size int) (r *responseReader, err error) {
	r = &responseReader{}
	for len(text) > 0 {
		space := r.space()
		n := copy(space[:min(size, len(space))], text)
		text = text[n:]
		done, err := r.received(n)
		switch {
		case err != nil:
			return r, err
		case done && len(text) > 0:
			return r, errMore
		case done:
			return r, nil
		}
	}
	return r, r.hungUp()
}

func TestAnswersAreReadHoweverTheyAreCut(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 5000)
	for name, c := range map[string]struct {
		text, body string
		code       int
		closing    bool
	}{
		"a length":       {"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\ncontent-LENGTH:  5 \r\n\r\nhello", "hello", 200, false},
		"no body":        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, false},
		"no reason":      {"HTTP/1.1 429\r\nContent-Length: 0\r\n\r\n", "", 429, false},
		"closing":        {"HTTP/1.1 503 No\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nno", "no", 503, true},
		"old":            {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nno", "no", 200, true},
		"to the end":     {"HTTP/1.1 200 OK\r\n\r\nall of it", "all of it", 200, true},
		"after continue": {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", 200, false},
		"chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n \r\n00A \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
			"hello 0123456789", 200, false},
		"long": {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), long, 200, false},
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			r, err := readIn(c.text, size)
			if err != nil || r.code != c.code || string(r.body) != c.body || r.closing != c.closing {
				t.Errorf("%s in pieces of %d: %d, %.50q, closing %v, %v", name, size, r.code, r.body, r.closing, err)
			}
		}
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for text, says := range map[string]string{
		"":                                 "EOF",
		"HTTP/1.1 200 OK\r":                "unexpected EOF",
		ok + "Content-Length: 3\r\n\r\nab": "unexpected EOF",
		ok + "Content-Length: 1\r\n\r\nab": "behind the answer",
		ok + "Content-Length: -1\r\n\r\n":  "content length",
		ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\na":                 "content length",
		ok + "Content-Length: 99999999999\r\n\r\n":                             "content length",
		ok + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n":         "beside a transfer encoding",
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n":                        "transfer encoding",
		ok + "Transfer-Encoding: chunked\r\n\r\nz\r\n":                         "chunk's size",
		ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n":                   "longer than its size",
		ok + "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n":                  "chunk's size",
		ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 70000): "line that is too long",
		ok + "a b: c\r\n\r\n":                                   "header line",
		ok + " folded\r\n\r\n":                                  "header line",
		ok + "no colon\r\n\r\n":                                 "header line",
		ok + "a: b\nc: d\r\n\r\n":                               "line break",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n": "transfer encoding in HTTP/1.0",
		"\n\r\n\r\n":                                            "line break",
		"HTTP/2.0 200 OK\r\n\r\n":                               "status line",
		"HTTP/1.1 2x0 OK\r\n\r\n":                               "status line",
		"HTTP/1.1 2000\r\n\r\n":                                 "status line",
		"HTTP/1.1 099 OK\r\n\r\n":                               "status line",
		"HTTP/1.1 101 Switching\r\n\r\n":                        "another protocol",
		ok + strings.Repeat("a", 70000):                         "head that is too long",
	} {
		for _, size := range []int{1, 1 << 20} {
			if r, err := readIn(text, size); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%.80q in pieces of %d: %d %q, %v, want %s", text, size, r.code, r.body, err, says)
			}
		}
	}
}

func FuzzAnswersDoNotDependOnHowTheyAreCut(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 3)
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1)
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\n\r\nrest", 8)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size < 1 {
			return
		}
		whole, err := readIn(text, len(text)+1)
		cut, cutErr := readIn(text, size)
		if (err == nil) != (cutErr == nil) {
			t.Fatalf("whole %v, in pieces of %d %v", err, size, cutErr)
		}
		if err != nil {
			return
		}
		if whole.code != cut.code || !bytes.Equal(whole.head, cut.head) || !bytes.Equal(whole.body, cut.body) {
			t.Fatalf("%d %q %q, in pieces %d %q %q", whole.code, whole.head, whole.body, cut.code, cut.head, cut.body)
		}
		// What is an answer here is the same to the standard library, which
		// takes 1xx for answers.
		if other, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil); err == nil && other.StatusCode >= 200 {
			body, err := io.ReadAll(other.Body)
			if err != nil || other.StatusCode != whole.code || !bytes.Equal(body, whole.body) {
				t.Fatalf("%d %q, the library has %d %q, %v", whole.code, whole.body, other.StatusCode, body, err)
			}
		}
		Answer{&whole.answer}.EachHeader(func(name, value string) {
			if got := (Answer{&whole.answer}).Header(strings.ToUpper(name)); got == nil && value != "" {
				t.Fatalf("%q is a header and cannot be found", name)
			}
		})
	})
}

// startNet serves with the standard library.
func startNet(t *testing.T, handle http.HandlerFunc) Target {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return Target{Network: "tcp", Addr: s.Listener.Addr().String(), Timeout: 10 * time.Second}
}

func TestAStandardServerIsUnderstood(t *testing.T) {
	large := bytes.Repeat([]byte("large "), 500_000)
	target := startNet(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Echo", r.Header.Get("Mark"))
		switch r.URL.Path {
		case "/chunked":
			for at := 0; at < len(body); at += 1 + len(body)/3 {
				_, _ = w.Write(body[at:min(len(body), at+1+len(body)/3)])
				w.(http.Flusher).Flush()
			}
			return
		case "/close":
			w.Header().Set("Connection", "close")
		}
		_, _ = w.Write(body)
	})
	for _, path := range []string{"/plain", "/chunked", "/close"} {
		for _, body := range [][]byte{nil, []byte("small"), large} {
			target.Requests = append(target.Requests, Request{Path: path, Body: body, Header: map[string]string{"Mark": path}})
		}
	}
	target.Check = func(i int, a Answer, _ time.Time) error {
		if a.Code() != 200 || a.IsMessage() || !bytes.Equal(a.Body(), target.Requests[i].Body) || string(a.Header("eCHO")) != target.Requests[i].Path {
			return fmt.Errorf("request %d: %d, %d bytes, %q", i, a.Code(), len(a.Body()), a.Header("Echo"))
		}
		return nil
	}
	out, err := Open(context.Background(), target, OpenOptions{Rate: 360, Arrivals: Even, Connections: 3, Duration: 100 * time.Millisecond})
	if err != nil || out.Failed != 0 || out.Answered != 36 {
		t.Errorf("%+v, %v", out, err)
	}
	closed, err := Closed(context.Background(), target, ClosedOptions{Connections: 3, Duration: time.Second})
	if err != nil || closed.Failed != 0 || closed.Answered == 0 {
		t.Errorf("%+v, %v", closed, err)
	}
}

// startRaw answers every connection by hand.
func startRaw(t *testing.T, serve func(c *net.TCPConn)) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c.(*net.TCPConn))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return Target{Network: "tcp", Addr: l.Addr().String(), Timeout: 10 * time.Second,
		Requests: []Request{{Path: "/", Body: bytes.Repeat([]byte("x"), 8<<20)}}}
}

func TestARefusalBeforeTheBodyIsReadIsAnAnswer(t *testing.T) {
	// The server closes with the body unread, which resets the connection.
	target := startRaw(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 100))
		_, _ = c.Write([]byte("HTTP/1.1 429 Full\r\nContent-Length: 4\r\n\r\nfull"))
	})
	target.Check = func(_ int, a Answer, _ time.Time) error {
		if a.Code() != 429 || string(a.Body()) != "full" {
			return fmt.Errorf("%d %q", a.Code(), a.Body())
		}
		return ErrRefused
	}
	out, err := Closed(context.Background(), target, ClosedOptions{Connections: 2, Duration: time.Second})
	if err != nil || out.Failed != 0 || out.Refused < 2 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAConnectionThatEndsWithoutAnAnswerFails(t *testing.T) {
	for name, serve := range map[string]func(c *net.TCPConn){
		"reset": func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, 100))
			_ = c.SetLinger(0)
		},
		"cut": func(c *net.TCPConn) {
			_, _ = io.CopyN(io.Discard, c, 8<<20)
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhal"))
		},
		"garbled": func(c *net.TCPConn) { _, _ = c.Write([]byte("SSH-2.0\r\n\r\n")) },
	} {
		target := startRaw(t, serve)
		if err := Once(target, 0, func(Answer) error { return nil }); err == nil || !strings.Contains(err.Error(), "no answer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAnswerThatIsLateFails(t *testing.T) {
	release := make(chan struct{})
	target := startRaw(t, func(*net.TCPConn) { <-release })
	defer close(release)
	target.Timeout = 50 * time.Millisecond
	target.Check = func(int, Answer, time.Time) error { return errors.New("answered") }
	out, err := Closed(context.Background(), target, ClosedOptions{Connections: 2, Duration: time.Second})
	if err != nil || out.Failed != 2 || !strings.Contains(out.Failures[0], "none within 50ms") {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAnIdleConnectionThatEndedIsOpenedAgain(t *testing.T) {
	target := startRaw(t, func(c *net.TCPConn) {
		_, _ = io.CopyN(io.Discard, c, 8<<20)
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	})
	target.Requests[0].Body = target.Requests[0].Body[:8<<20]
	target.Check = func(_ int, a Answer, _ time.Time) error { return nil }
	out, err := Open(context.Background(), target, OpenOptions{Rate: 10, Arrivals: Even, Connections: 1, Duration: 300 * time.Millisecond})
	if err != nil || out.Failed != 0 || out.Answered != 3 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestHeadersAreFoundWithoutMemory(t *testing.T) {
	a := Answer{&answer{head: []byte("Content-Type: a/b\r\nSegue-Model-Version:\t17 \r\nEmpty:\r\n")}}
	if got := testing.AllocsPerRun(100, func() {
		if string(a.Header("segue-model-version")) != "17" || len(a.Header("empty")) != 0 || a.Header("Segue-Model") != nil {
			t.Error("a header is not found")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
