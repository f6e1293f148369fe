; Plain `sparse submit`, without -j, makes its jar with Leiningen: of what Maven compiles, as `make storm-jar` does.
; The copy of src/ that sparse would add stays out: a worker would find it before the package that is installed.
; The name of the jar is read from what Leiningen prints, so Maven prints elsewhere.
(let [command ["mvn" "-B" "-q" "-f" "jvm/multilang/pom.xml" "process-classes"]
      elsewhere (java.lang.ProcessBuilder$Redirect/appendTo (java.io.File. "/dev/stderr"))
      maven (-> (ProcessBuilder. command) .inheritIO (.redirectOutput elsewhere) .start)]
  (when-not (zero? (.waitFor maven))
    (leiningen.core.main/abort "the serializer does not compile")))

(defproject shopguide "0.1.0"
  :source-paths []
  :resource-paths ["jvm/multilang/target/classes"]
  :target-path "_build"
  :jar-exclusions [#"^META-INF/(maven|leiningen)"])
