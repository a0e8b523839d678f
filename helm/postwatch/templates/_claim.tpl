{{/* spec of a claim for the volume at /var/lib/postwatch. */}}
{{- define "postwatch.claim" -}}
spec:
  accessModes:
    {{- toYaml (.Values.persistence.accessModes | default (list "ReadWriteOnce")) | nindent 4 }}
  {{- with .Values.persistence.storageClass }}
  storageClassName: {{ ternary "" . (eq . "-") | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.persistence.size | default "1Gi" | quote }}
{{- end }}
