package oip

import (
	"fmt"
	"net/http"
	"strconv"
)

// Error is a refusal that can be shown to the client as it is: Message says
// what was wrong and where, in the client's own terms, and never holds a path
// or an internal name.
type Error struct {
	// Status is the HTTP status that the refusal is answered with.
	Status int
	// Message is what the answer's "error" member says.
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// ErrorDocument is the body of every answer that is not a success.
type ErrorDocument struct {
	Error string `json:"error"`
}

// AppendError appends the error document {"error": message} to dst.
func AppendError(dst []byte, message string) []byte {
	dst = append(dst, `{"error":`...)
	dst = appendText(dst, message)
	return append(dst, '}')
}

func refuse(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func refuseStatus(status int, format string, args ...any) error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// quote prints a name for a message. Names come from the client, so that a
// long one is cut.
func quote[T string | []byte](name T) string {
	const longest = 64
	if len(name) > longest {
		return strconv.Quote(string(name[:longest]) + "…")
	}
	return strconv.Quote(string(name))
}
